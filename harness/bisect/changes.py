"""What differs between two locks, and locks made of some packages of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from harness.environments.lock import InvalidLock, Lock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PACKAGE = re.compile(r"^\[\[packages\]\]$", re.MULTILINE)
_NAME = re.compile(r'^name = "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that moved. None: it is not in that lock."""

    name: str
    green: str | None
    red: str | None

    def __str__(self) -> str:
        if self.green is None:
            return f"{self.name} (none) → {self.red}"
        return f"{self.name} {self.green} → {self.red or '(none)'}"


def changes_between(green: Lock, red: Lock) -> dict[str, PackageChange]:
    """Every package whose version differs, by name, sorted.

    Raises:
        InvalidLock: one of them is no lock.
    """
    before, after = green.stack, red.stack
    names = sorted({*before, *after})
    return {
        name: PackageChange(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


@dataclass(frozen=True, slots=True)
class Mixer:
    """Makes locks between two: the green one with some packages as in the red one."""

    head: str
    green: Mapping[str, str]
    """Package name to its part of the lock's text."""
    red: Mapping[str, str]

    @classmethod
    def of(cls, green: Lock, red: Lock) -> Mixer:
        """The mixer of two locks.

        Raises:
            InvalidLock: a lock is not laid out as uv writes it.
        """
        head, before = _parts(green)
        return cls(head, before, _parts(red)[1])

    def mix(self, moved: Collection[str]) -> Lock:
        """The green lock with the packages ``moved`` as they are in the red one."""
        taken = {name: text for name, text in self.green.items() if name not in moved}
        taken |= {name: text for name, text in self.red.items() if name in moved}
        return Lock(self.head + "".join(taken[name] for name in sorted(taken)))


def _parts(lock: Lock) -> tuple[str, dict[str, str]]:
    starts = [match.start() for match in _PACKAGE.finditer(lock.text)]
    if not starts:
        raise InvalidLock("not a lock: it names no package")
    found: dict[str, str] = {}
    for start, end in zip(starts, [*starts[1:], len(lock.text)], strict=True):
        text = lock.text[start:end]
        name = _NAME.search(text)
        if name is None:
            raise InvalidLock("a package without a name in the lock")
        found[str(canonicalize_name(name[1]))] = text.rstrip("\n") + "\n\n"
    if set(found) != set(lock.stack):
        raise InvalidLock("the lock names a package twice; only locks of one platform and one Python can be mixed")
    return lock.text[: starts[0]], found

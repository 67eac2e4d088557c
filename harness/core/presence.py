"""In which versions of a package something is there, as stretches of the versions that were looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.version import Version


@dataclass(frozen=True, slots=True)
class Presence:
    """Where one name, or anything else, is there."""

    package: str
    looked_at: tuple[Version, ...]
    """Oldest first."""
    runs: tuple[tuple[Version, Version], ...]
    """First and last version of each stretch that has it, both looked at."""

    @classmethod
    def of(cls, package: str, there: Mapping[Version, bool]) -> Self:
        """The stretches, from an answer for each version, oldest first."""
        return cls(package, tuple(there), runs_of(there.items()))

    @property
    def versions(self) -> list[Version]:
        """The versions looked at that have it."""
        return [version for version in self.looked_at if version in self]

    def __contains__(self, version: Version) -> bool:
        return any(first <= version <= last for first, last in self.runs)

    def requirements(self) -> list[str]:
        """The stretches as requirements: ``transformers<=4.56.2``; open where the oldest or newest version has it."""
        found = []
        for first, last in self.runs:
            lower = "" if first == self.looked_at[0] else f">={first}"
            upper = "" if last == self.looked_at[-1] else f"<={last}"
            found.append(f"{self.package}{','.join(part for part in (lower, upper) if part)}")
        return found


def runs_of(there: Iterable[tuple[Version, bool]]) -> tuple[tuple[Version, Version], ...]:
    """First and last of each stretch of consecutive versions with a yes."""
    runs: list[tuple[Version, Version]] = []
    open_ = False
    for version, has in there:
        if has:
            runs[-1:] = [(runs[-1][0], version)] if open_ else [*runs[-1:], (version, version)]
        open_ = has
    return tuple(runs)

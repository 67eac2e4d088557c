"""What a project's own file deploys: the stack of a combination that is named by a lock instead of by versions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path


class UnreadableLock(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the file
    """A file does not say a stack that can be tested; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a file deploys with one Python."""

    requirements: tuple[str, ...]
    """PEP 508, markers settled where ``complete``."""
    complete: bool = False
    """Whether that is every package; otherwise these pins hold, and the resolver chooses the rest."""
    constraints: tuple[str, ...] = ()
    """Versions of packages that need not be there."""
    indexes: tuple[str, ...] = ()
    """Addresses of package indexes that it takes packages from, beside the user's own."""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Normalised name to version, of lmdeploy and transformers at least."""
    untested: tuple[str, ...] = ()
    """What it deploys besides, which no run tests: the project itself, packages of conda."""
    kept: tuple[str, ...] = ()
    """Pins that hold unless a package that was moved demands another version."""

    def moved(self, requirements: Mapping[str, str]) -> Deployed:
        """The same with other requirements for some packages, by their normalised names; all others stay as they are.

        In a whole stack, what was moved may need other versions of others: they hold as far as they can.
        """
        if not requirements:
            return self
        pins = {str(canonicalize_name(Requirement(each).name)): each for each in self.requirements}
        if not self.complete:
            return replace(self, requirements=tuple((pins | dict(requirements)).values()))
        named = {name: pin for name, pin in pins.items() if name in {"lmdeploy", "transformers"} or "==" not in pin}
        exact = (pin for name, pin in pins.items() if name not in {*requirements, *named})
        return replace(
            self,
            requirements=tuple((named | dict(requirements)).values()),
            kept=tuple(exact),
            complete=False,
        )


class LockReader(Protocol):
    """Who reads a project's files."""

    def python(self, file: Path) -> str | None:
        """The Python that the project says it runs on; None where it says none."""
        ...

    def read(
        self, file: Path, python: str, groups: Sequence[str], extras: Sequence[str], as_of: date | None
    ) -> Deployed:
        """What the file deploys.

        Raises:
            UnreadableLock: it cannot be read, or holds no lmdeploy.
        """
        ...

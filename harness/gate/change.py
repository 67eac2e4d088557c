"""What is bumped: a package and the requirement it is moved to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.core.errors import HarnessError
from harness.matrix.versions import version_fits, version_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.specifiers import SpecifierSet

AXES = ("lmdeploy", "transformers")
"""Packages that are an axis of the matrix; all others are additions to a lock."""


class UnusableChange(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the input
    """What was given does not say a change; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Bump:
    """One package moved to other versions."""

    package: str
    """Normalised name."""
    wanted: SpecifierSet
    before: str | None = None
    """Version or range that it had, where the change tells."""
    file: str = ""
    """The changed file, where there is one."""
    line: int = 0

    @property
    def exact(self) -> Version | None:
        """The one version meant; None for a range."""
        pins = list(self.wanted)
        if len(pins) != 1 or pins[0].operator not in {"==", "==="} or pins[0].version.endswith("*"):
            return None
        try:
            return Version(pins[0].version)
        except InvalidVersion:
            return None

    @property
    def of_build(self) -> bool:
        """Whether it only takes another build of the same version: ``2.8.0+cu126`` to ``2.8.0+cu128``."""
        before = version_pattern(self.before) if self.before is not None else None
        same = isinstance(before, Version) and self.exact is not None and before.public == self.exact.public
        return same and before != self.exact

    def comes_from(self, version: Version) -> bool:
        """Whether what stands at ``version`` is what is bumped; a build's own tag (``+cu128``) is no other version."""
        if self.before is None:
            return True
        pattern = version_pattern(self.before)
        return version_fits(Version(pattern.public) if isinstance(pattern, Version) else pattern, _public(version))

    @property
    def requirement(self) -> str:
        """As PEP 508."""
        return f"{self.package}{self.wanted}"

    def __str__(self) -> str:
        return f"{self.requirement} (was {self.before})" if self.before else self.requirement


def _public(version: Version) -> Version:
    return Version(version.public)


LONGEST_BUMP = 500
"""Characters."""


def parse_bump(text: str, before: str | None = None) -> Bump:
    """The bump a person wrote, ``transformers==5.23.0``.

    Raises:
        UnusableChange: it is none.
    """
    if len(text) > LONGEST_BUMP:  # Python refuses to compare a version with a number of thousands of digits
        raise UnusableChange(f"a bump of {len(text):,} characters; write e.g. 'transformers==5.23.0'")
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UnusableChange(f"{text!r} is not a bump; write e.g. 'transformers==5.23.0'") from error
    if requirement.url or not requirement.specifier:
        raise UnusableChange(f"{text!r} names no version; write e.g. '{requirement.name}==5.23.0'")
    try:
        version_pattern(before or "0")
    except ValueError as error:
        raise UnusableChange(f"--from: {error}") from error
    return Bump(str(canonicalize_name(requirement.name)), requirement.specifier, before)


def describe(bumps: Iterable[Bump]) -> str:
    """All of them in a line."""
    return ", ".join(map(str, bumps)) or "the matrix as it stands"

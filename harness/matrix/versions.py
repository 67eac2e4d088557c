"""Version rules: what may stand on a version axis, and which releases it means.

========================== ===========================================================
``0.11.1``                 that release; the index is not asked
``latest``                 the newest final release
``>=0.16``                 every final release in the range (any PEP 440 specifier)
``last-patch-of-each-minor`` the newest final release of every minor series
========================== ===========================================================

A range may follow the words: ``latest <5``, ``last-patch-of-each-minor >=0.9``.
Pre-releases never come out of a rule; they can be named exactly.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

_OPERATORS = ("<", ">", "=", "!", "~")
LONGEST = 500
"""Characters of a version or a rule."""
HOW_TO_WRITE = (
    "write a version (0.18.0), latest, a range ('>=0.16') or last-patch-of-each-minor, with a range if needed"
)


class Releases(Protocol):
    """Where the releases of a package are looked up."""

    def versions(self, package: str, as_of: date | None) -> Sequence[Version]:
        """Releases that are not yanked, uploaded up to the end of ``as_of`` (UTC), oldest first.

        Raises:
            harness.index.download.IndexUnavailable: the question could not be answered.
        """
        ...


class RuleKind(StrEnum):
    """What a version rule asks for."""

    EXACT = "exact"
    LATEST = "latest"
    RANGE = "range"
    LAST_PATCH_OF_EACH_MINOR = "last-patch-of-each-minor"


@dataclass(frozen=True, slots=True)
class VersionRule:
    """One entry of a version axis."""

    text: str
    kind: RuleKind
    exact: Version | None = None
    bounds: SpecifierSet = SpecifierSet()  # noqa: RUF009 - immutable in use and empty

    @classmethod
    def parse(cls, text: str) -> VersionRule:
        """The rule a string stands for.

        Raises:
            ValueError: it stands for none; the message says what to write.
        """
        stripped = _of_sane_length(text)
        for kind in (RuleKind.LATEST, RuleKind.LAST_PATCH_OF_EACH_MINOR):
            if stripped == kind or stripped.startswith((f"{kind} ", *(f"{kind}{sign}" for sign in _OPERATORS))):
                return cls(stripped, kind, None, _bounds(stripped.removeprefix(kind), text))
        if stripped.startswith(_OPERATORS):
            return cls(stripped, RuleKind.RANGE, None, _bounds(stripped, text))
        try:
            return cls(stripped, RuleKind.EXACT, Version(stripped))
        except InvalidVersion:
            raise ValueError(f"'{text}' is not a version or a version rule; {HOW_TO_WRITE}") from None

    def expand(self, releases: Sequence[Version]) -> tuple[Version, ...]:
        """The releases meant, oldest first; ``releases`` may be empty for an exact rule."""
        if self.exact is not None:
            return (self.exact,)
        fitting = sorted(
            {release for release in releases if not release.is_prerelease and release in self.bounds},
        )
        if self.kind is RuleKind.LATEST:
            return tuple(fitting[-1:])
        if self.kind is RuleKind.LAST_PATCH_OF_EACH_MINOR:
            return tuple({(release.epoch, release.major, release.minor): release for release in fitting}.values())
        return tuple(fitting)

    def __str__(self) -> str:
        return self.text


def no_such_version(package: str, wanted: Version, known: Sequence[Version]) -> str:
    """One clear line for a version that does not exist; it names the nearest that do.

    Args:
        package: its name.
        wanted: what does not exist.
        known: what does, oldest first.
    """
    if not known:
        return f"the package index that uv uses here has no package {package}"
    final = [each for each in known if not each.is_prerelease] or known
    place = bisect.bisect(final, wanted)
    near = (final[max(0, place - 1) : place + 1] if place < len(final) else final)[-2:]
    verb = "releases are" if len(near) > 1 else "release is"
    return f"there is no {package} {wanted}; the nearest {verb} {' and '.join(map(str, near))}"


def version_pattern(text: str) -> SpecifierSet | Version:
    """A version as a rule's ``when`` names it: one version, ``5.0.*``, or a range.

    Raises:
        ValueError: none of these.
    """
    stripped = _of_sane_length(text)
    if stripped.startswith(_OPERATORS):
        return _bounds(stripped, text)
    if stripped.endswith(".*"):
        return _bounds(f"=={stripped}", text)
    try:
        return Version(stripped)
    except InvalidVersion:
        raise ValueError(f"'{text}' is not a version or a range; write e.g. 4.57.3, 5.0.* or '>=5,<5.6'") from None


def version_fits(pattern: SpecifierSet | Version, version: Version) -> bool:
    """Whether ``version`` is the one, or in the range, that ``pattern`` names. Pre-releases count as versions."""
    if isinstance(pattern, Version):
        return pattern == version
    return pattern.contains(version, prereleases=True)


def _of_sane_length(text: str) -> str:
    """The text without spaces around it; Python refuses to compare a version with a number of thousands of digits."""
    if len(text) > LONGEST:
        raise ValueError(f"{len(text):,} characters are no version; {HOW_TO_WRITE}")
    return text.strip()


def _bounds(text: str, whole: str) -> SpecifierSet:
    try:
        return SpecifierSet(text.strip())
    except InvalidSpecifier:
        raise ValueError(f"'{whole}' has no valid range; write e.g. '>=0.16' or '>=5,<5.6'") from None

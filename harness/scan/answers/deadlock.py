"""Settling a supposed deadlock: the versions that satisfy everything, or the requirements that cannot meet.

A version counts as left only when everything a boot asks of it was looked up and found. For a version that is not left
one reason is enough, so the questions that excluded its neighbours are asked first; only when nothing is left is every
version asked everything, because then the smallest set of requirements that excludes them all is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.core.collector import without_collection
from harness.core.presence import runs_of
from harness.scan.answers.requirements import look_at, never_met
from harness.scan.evaluation.outside import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.scan.answers.requirements import Observations, Requirement
    from harness.scan.answers.scanner import Scanner

SINCE = Version("4.30.0")
"""The oldest transformers that is considered."""
_LARGEST = 4
"""Requirements in a conflict that is searched for exactly; larger ones are found greedily."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive versions that are left."""

    first: Version
    last: Version
    below: Requirement | None
    """What the version before the first lacks; None when there is none before."""
    above: Requirement | None
    """What the version after the last lacks; None when there is none after."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The answer to why-not."""

    lmdeploy: Version
    model: str
    backend: str
    considered: tuple[Version, ...]
    left: tuple[Version, ...]
    runs: tuple[Stretch, ...]
    conflict: tuple[Requirement, ...]
    """When nothing is left: a smallest set of requirements of which every version lacks at least one."""
    satisfied_by: dict[Requirement, tuple[tuple[Version, Version], ...]]
    """The versions that were found to satisfy each requirement named here, as runs of those looked at for it."""
    excluded: dict[Version, tuple[Requirement, ...]]


@without_collection()
def settle(  # noqa: PLR0913 - what is asked, and how
    scanner: Scanner,
    lmdeploy: str | Version,
    *,
    since: Version = SINCE,
    until: Version | None = None,
    jobs: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Settlement:
    """The transformers versions an engine release can serve the scanner's model with, or why there are none.

    Args:
        scanner: for the model and backend.
        lmdeploy: the engine's version.
        since: the oldest transformers version to consider.
        until: the newest one; None: the newest there is.
        jobs: processes; None: two where there are two cores and enough versions to share.
        progress: told each version as it is looked at.

    Raises:
        NoSuchRelease: the engine's version is not in the index.
        IndexUnavailable: the index cannot be asked.
    """
    own = scanner.engine(lmdeploy)
    versions = [
        version
        for version in scanner.library.versions(PROVIDER)
        if version >= since and (until is None or version <= until)
    ]
    never = never_met(own)
    if never:
        return Settlement(
            lmdeploy=own.engine.release.version,
            model=scanner.target.model,
            backend=scanner.target.backend,
            considered=tuple(versions),
            left=(),
            runs=(),
            conflict=never[:1],  # one is enough, and no version has to be looked at for it
            satisfied_by=dict.fromkeys(never, ()),
            excluded=dict.fromkeys(versions, never),
        )
    evidence = look_at(scanner, own, versions, jobs=jobs, progress=progress)
    found = evidence.lacks
    left = [version for version in versions if not found[version]]
    conflict: tuple[Requirement, ...] = ()
    if not left and versions:
        evidence = look_at(scanner, own, versions, evidence, jobs=jobs, progress=progress)
        evidence.complete_attributes()
        found = evidence.lacks
        conflict = _smallest_cover(found)
    return Settlement(
        lmdeploy=own.engine.release.version,
        model=scanner.target.model,
        backend=scanner.target.backend,
        considered=tuple(versions),
        left=tuple(left),
        runs=tuple(_runs(versions, found)),
        conflict=conflict,
        satisfied_by=_ranges(evidence, versions),
        excluded={version: tuple(lacking) for version, lacking in found.items() if lacking},
    )


def _smallest_cover(lacks: dict[Version, list[Requirement]]) -> tuple[Requirement, ...]:
    """A smallest set of requirements such that every version lacks one of them."""
    excludes: dict[Requirement, set[Version]] = {}
    for version, lacking in lacks.items():
        for requirement in lacking:
            excludes.setdefault(requirement, set()).add(version)
    everyone = set(lacks)
    widest = sorted(excludes, key=lambda requirement: -len(excludes[requirement]))
    distinct: list[Requirement] = []
    for requirement in widest:
        if not any(excludes[requirement] <= excludes[other] for other in distinct):
            distinct.append(requirement)
    for size in range(1, _LARGEST + 1):
        for chosen in combinations(distinct, size):
            if set().union(*(excludes[requirement] for requirement in chosen)) == everyone:
                return chosen
    return _greedy_cover(excludes, everyone)


def _greedy_cover(excludes: dict[Requirement, set[Version]], everyone: set[Version]) -> tuple[Requirement, ...]:
    chosen: list[Requirement] = []
    open_ = set(everyone)
    while open_:
        best = max(excludes, key=lambda requirement: len(excludes[requirement] & open_))
        if not excludes[best] & open_:
            break
        chosen.append(best)
        open_ -= excludes[best]
    return tuple(chosen)


def _runs(versions: Sequence[Version], lacks: dict[Version, list[Requirement]]) -> Iterable[Stretch]:
    for first, last in runs_of((version, not lacks[version]) for version in versions):
        start, end = versions.index(first), versions.index(last) + 1
        below = lacks[versions[start - 1]][0] if start else None
        above = lacks[versions[end]][0] if end < len(versions) else None
        yield Stretch(first, last, below, above)


def _ranges(
    evidence: Observations, versions: Sequence[Version]
) -> dict[Requirement, tuple[tuple[Version, Version], ...]]:
    """Where each requirement was found satisfied; versions that were not asked interrupt nothing."""
    found = {}
    for requirement, misses in evidence.misses.items():
        meets = evidence.meets(requirement)
        found[requirement] = runs_of((version, version in meets) for version in versions if version in meets | misses)
    return found

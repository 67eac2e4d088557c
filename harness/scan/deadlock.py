"""Settling a supposed deadlock: the versions that satisfy everything, or the requirements that cannot meet.

A version counts as left only when everything a boot asks of it was looked up and found. For a version that is not left
one reason is enough, so the questions that excluded its neighbours are asked first; only when nothing is left is every
version asked everything, because then the smallest set of requirements that excludes them all is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.scan import messages
from harness.scan.engine import ROOT
from harness.scan.problems import Kind
from harness.scan.provides import Answer
from harness.scan.world import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.scan.pair import EngineScan, Scanner
    from harness.scan.problems import Problem
    from harness.scan.provides import Provider
    from harness.scan.world import Question, World

SINCE = Version("4.30.0")
"""The oldest transformers that is considered."""
_AHEAD = 12
"""Versions whose tables of contents are fetched before their turn."""
_LARGEST = 4
"""Requirements in a conflict that is searched for exactly; larger ones are found greedily."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that every version has to satisfy, and where it is written."""

    subject: str
    """``transformers.processing_utils.ImagesKwargs``, ``model type qwen2_vl``, ``transformers>=4.56.0``."""
    kind: Kind
    package: str
    """The release that requires it: ``lmdeploy 0.11.1``."""
    file: str
    line: int
    """0 when the file is metadata."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.subject} ({self.package}, {where})"


@dataclass(frozen=True, slots=True)
class Run:
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
    runs: tuple[Run, ...]
    conflict: tuple[Requirement, ...]
    """When nothing is left: a smallest set of requirements of which every version lacks at least one."""
    satisfied_by: dict[Requirement, tuple[tuple[Version, Version], ...]]
    """The versions that were found to satisfy each requirement named here, as runs of those looked at for it."""
    excluded: dict[Version, tuple[Requirement, ...]]


@dataclass
class _Evidence:
    """What was found out, version by version."""

    lacks: dict[Version, list[Requirement]] = field(default_factory=dict)
    has: dict[Requirement, set[Version]] = field(default_factory=dict)
    misses: dict[Requirement, set[Version]] = field(default_factory=dict)

    def note(self, version: Version, requirement: Requirement, *, there: bool) -> None:
        """One requirement under one version."""
        (self.has if there else self.misses).setdefault(requirement, set()).add(version)


@dataclass
class _Settling:
    scanner: Scanner
    own: EngineScan
    evidence: _Evidence = field(default_factory=_Evidence)
    witnesses: dict[Requirement, Question] = field(default_factory=dict)
    _helpful: set[str] = field(default_factory=set)
    """Modules that witnesses were looked up in: fetched together from the next version."""

    def quick(self, version: Version) -> list[Requirement]:
        """What a version lacks, as far as one reason is enough."""
        provider = self.scanner.provider(version)
        refused = self._refused(provider)
        if refused:
            return refused
        world = self.scanner.world(self.own, provider)
        provider.release.fetch(self._helpful)
        for requirement, question in sorted(self.witnesses.items(), key=_effort):
            if not self._asked(world, version, requirement, question):
                self._helpful.update(provider.release.read)
                return [requirement]
        self._helpful.update(provider.release.read)
        return self.everything(version)

    def everything(self, version: Version) -> list[Requirement]:
        """All that a version lacks."""
        provider = self.scanner.provider(version)
        world = self.scanner.world(self.own, provider)
        problems = self.scanner.problems(self.own, provider)
        lacking = [*self._refused(provider)]
        for problem in problems:
            requirement = self._requirement(problem)
            question = _unconditional(problem)
            if question is not None:
                self.witnesses.setdefault(requirement, question)
            self.evidence.note(version, requirement, there=False)
            lacking.append(requirement)
        for finding in self.scanner.release_findings(self.own, provider):
            place = (finding.consumer_file, finding.line)
            lacking.append(Requirement(finding.name, finding.kind, finding.provider, *place))
        for requirement, question in self.witnesses.items():
            if requirement not in lacking:
                self._asked(world, version, requirement, question)
        return list(dict.fromkeys(lacking))

    def _asked(self, world: World, version: Version, requirement: Requirement, question: Question) -> bool:
        answer = world.ask(question)
        there = bool(answer) if isinstance(answer, Answer) else answer is not False
        self.evidence.note(version, requirement, there=there)
        return there

    def _refused(self, provider: Provider) -> list[Requirement]:
        release = self.own.engine.release
        found = []
        for conflict in self.scanner.conflicts(self.own, provider):
            subject = next((text.partition(" requires ")[2] for text in conflict.requirements), conflict.package)
            metadata = f"{ROOT}-{release.version}.dist-info/METADATA"
            found.append(Requirement(subject, messages.conflict(conflict).kind, str(release), metadata, 0))
        return found

    def _requirement(self, problem: Problem) -> Requirement:
        release = self.own.engine.consumers.release(problem.consumer)
        package = str(release) if release is not None else self.scanner.target.model
        return Requirement(messages.subject(problem), problem.kind, package, problem.file, problem.line)


def settle(
    scanner: Scanner,
    lmdeploy: str | Version,
    *,
    since: Version = SINCE,
    until: Version | None = None,
    progress: Callable[[str], None] | None = None,
) -> Settlement:
    """The transformers versions an engine release can serve the scanner's model with, or why there are none.

    Args:
        scanner: for the model and backend.
        lmdeploy: the engine's version.
        since: the oldest transformers version to consider.
        until: the newest one; None: the newest there is.
        progress: told each version as it is looked at.

    Raises:
        NoSuchRelease: the engine's version is not in the index.
        IndexUnavailable: the index cannot be asked.
    """
    own = scanner.engine(lmdeploy)
    versions = [
        version
        for version in scanner.library.registry.versions(PROVIDER)
        if version >= since and (until is None or version <= until)
    ]
    settling = _Settling(scanner, own)
    found = settling.evidence.lacks
    order = _outermost_first(versions)
    for place, version in enumerate(order):
        scanner.library.look_ahead(PROVIDER, order[place + 1 : place + _AHEAD])
        if progress is not None:
            progress(f"{PROVIDER} {version}")
        found[version] = settling.quick(version)
        scanner.forget(version)
    left = [version for version in versions if not found[version]]
    conflict: tuple[Requirement, ...] = ()
    if not left and versions:
        conflict = _smallest_cover(_complete(settling, versions, progress))
    return Settlement(
        lmdeploy=own.engine.release.version,
        model=scanner.target.model,
        backend=scanner.target.backend,
        considered=tuple(versions),
        left=tuple(left),
        runs=tuple(_runs(versions, found)),
        conflict=conflict,
        satisfied_by=_ranges(settling.evidence, versions),
        excluded={version: tuple(lacking) for version, lacking in found.items() if lacking},
    )


def _outermost_first(versions: Sequence[Version]) -> list[Version]:
    """The ends first: what they lack excludes most of the others."""
    return [*versions[-1:], *versions[:-1]]


def _complete(
    settling: _Settling, versions: Iterable[Version], progress: Callable[[str], None] | None
) -> dict[Version, list[Requirement]]:
    complete = settling.evidence.lacks
    for version in versions:
        if progress is not None:
            progress(f"{PROVIDER} {version}, everything")
        complete[version] = settling.everything(version)
        settling.scanner.forget(version)
    return complete


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


def _runs(versions: Sequence[Version], lacks: dict[Version, list[Requirement]]) -> Iterable[Run]:
    start = 0
    while start < len(versions):
        if lacks[versions[start]]:
            start += 1
            continue
        end = start
        while end + 1 < len(versions) and not lacks[versions[end + 1]]:
            end += 1
        below = lacks[versions[start - 1]][0] if start else None
        above = lacks[versions[end + 1]][0] if end + 1 < len(versions) else None
        yield Run(versions[start], versions[end], below, above)
        start = end + 1


def _ranges(evidence: _Evidence, versions: Sequence[Version]) -> dict[Requirement, tuple[tuple[Version, Version], ...]]:
    """Where each requirement was found satisfied; versions that were not asked interrupt nothing."""
    found = {}
    for requirement in evidence.misses:
        runs: list[tuple[Version, Version]] = []
        open_ = False
        for version in versions:
            if version in evidence.has.get(requirement, ()):
                runs = [*runs[:-1], (runs[-1][0], version)] if open_ else [*runs, (version, version)]
                open_ = True
            elif version in evidence.misses[requirement]:
                open_ = False
        found[requirement] = tuple(runs)
    return found


def _effort(witness: tuple[Requirement, Question]) -> bool:
    """Names of the package itself come last: to prove that one is nowhere takes every file it may be served from."""
    question = witness[1]
    return question[0] == "name" and question[1] == PROVIDER


def _unconditional(problem: Problem) -> Question | None:
    """The question whose answer alone makes the problem, for what is asked on every path."""
    if problem.kind is Kind.MODEL_TYPE:
        return ("knows", problem.name)
    if problem.kind in (Kind.NAME, Kind.MODULE) and not problem.function:
        return ("name", problem.module, problem.name) if problem.name else ("module", problem.module)
    return None

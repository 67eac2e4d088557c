"""Looking at one transformers release after the other: what each lacks of all that an engine release asks.

For a release that lacks something one reason is enough, so the questions that excluded its neighbours are asked first.
A release counts as lacking nothing only when everything that is asked of it was looked up and found.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.scan.answers import messages
from harness.scan.answers.findings import Severity
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.code import missing
from harness.scan.evaluation.engine import ROOT
from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.outside import PROVIDER
from harness.scan.evaluation.provider import Lookup
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from packaging.version import Version

    from harness.index.download import Traffic
    from harness.scan.answers.scanner import EngineScan
    from harness.scan.evaluation.failures import Failure
    from harness.scan.evaluation.outside import Packages, Question
    from harness.scan.evaluation.provider import Provider
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.sources.release import Release

YOURS = "your code"
"""Who requires what ``--code`` names."""
_AHEAD = 32
"""Versions whose tables of contents are fetched before their turn."""
_SOURCES_AHEAD = 4
"""Versions whose likely sources are."""
_WORTH_SHARING = 24
"""Fewer versions than this are looked at before a second process has read the engine."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that every version has to satisfy, and where it is written."""

    subject: str
    """``transformers.processing_utils.ImagesKwargs``, ``model type qwen2_vl``, ``transformers>=4.56.0``."""
    kind: Topic
    package: str
    """The release that requires it: ``lmdeploy 0.11.1``."""
    file: str
    line: int
    """0 when the file is metadata."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.subject} ({self.package}, {where})"


@dataclass
class Observations:
    """What was found out, version by version."""

    considered: set[Version] = field(default_factory=set)
    lacks: dict[Version, list[Requirement]] = field(default_factory=dict)
    has: dict[Requirement, set[Version]] = field(default_factory=dict)
    misses: dict[Requirement, set[Version]] = field(default_factory=dict)

    of_codes: set[Requirement] = field(default_factory=set)
    """Requirements of somebody's own code, which every version that no resolver refuses is asked for."""
    witnesses: dict[Requirement, Question] = field(default_factory=dict)
    """Questions whose answer alone shows that a requirement is not met."""

    def note(self, version: Version, requirement: Requirement, *, there: bool) -> None:
        """One requirement under one version."""
        (self.has if there else self.misses).setdefault(requirement, set()).add(version)

    def meets(self, requirement: Requirement) -> set[Version]:
        """The versions found to satisfy a requirement: of metadata and of code, all that were not found to lack it."""
        if requirement.kind is Topic.RESOLVER or requirement in self.of_codes:
            return self.considered - self.misses[requirement]
        return self.has.get(requirement, set())

    def complete_attributes(self) -> None:
        """Where everything was asked: an attribute was found unless it was missed, or its class is not there at all."""
        attributes = [requirement for requirement in self.misses if requirement.kind is Topic.ATTRIBUTE]
        for version, lacking in self.lacks.items():
            kinds = {requirement.kind for requirement in lacking}
            for requirement in attributes:
                if Topic.MODEL_TYPE in kinds:
                    lacking.append(requirement)
                    self.note(version, requirement, there=False)
                elif requirement not in lacking and Topic.RESOLVER not in kinds:
                    self.note(version, requirement, there=True)

    def add(self, other: Observations) -> None:
        """Take over what was found out about other versions."""
        self.considered |= other.considered
        self.lacks.update(other.lacks)
        self.witnesses.update(other.witnesses)
        self.of_codes |= other.of_codes
        for mine, theirs in ((self.has, other.has), (self.misses, other.misses)):
            for requirement, versions in theirs.items():
                mine.setdefault(requirement, set()).update(versions)


@dataclass
class _Settling:
    """One engine release, looked at with one transformers release after the other."""

    scanner: Scanner
    own: EngineScan
    evidence: Observations = field(default_factory=Observations)
    _helpful: set[str] = field(default_factory=set)
    """Modules that witnesses were looked up in: fetched together from the next version."""
    _looked_for: set[Version] = field(default_factory=set)

    def look_ahead(self, versions: Sequence[Version]) -> None:
        """Begin to fetch what will be asked of the next versions."""
        library = self.scanner.library
        library.look_ahead(PROVIDER, versions)
        for version in versions[:_SOURCES_AHEAD] if self._helpful else ():
            if version not in self._looked_for:
                self._looked_for.add(version)
                library.release(PROVIDER, version).look_ahead_for(self._helpful)

    def quick(self, version: Version) -> list[Requirement]:
        """What a version lacks, as far as one reason is enough."""
        provider = self.scanner.provider(version)
        refused = self._refused(provider)
        if refused:
            return refused
        missing = self._missing(provider)
        if missing:
            return missing
        world = self.scanner.world(self.own, provider)
        provider.release.fetch(self._helpful)
        for requirement, question in sorted(self.evidence.witnesses.items(), key=_effort):
            if not self._asked(world, version, requirement, question):
                self._helpful.update(provider.release.read)
                return [requirement]
        self._helpful.update(provider.release.read)
        return self.everything(version)

    def everything(self, version: Version) -> list[Requirement]:
        """All that a version lacks."""
        provider = self.scanner.provider(version)
        world = self.scanner.world(self.own, provider)
        failures = self.scanner.failures(self.own, provider)
        lacking = [*self._refused(provider), *self._missing(provider)]
        for failure in failures:
            requirement = self._requirement(failure)
            question = _unconditional(failure)
            if question is not None:
                self.evidence.witnesses.setdefault(requirement, question)
            self.evidence.note(version, requirement, there=False)
            lacking.append(requirement)
        for finding in self.scanner.release_findings(self.own, provider):
            requirement = Requirement(finding.name, finding.kind, finding.provider, finding.consumer_file, finding.line)
            self.evidence.note(version, requirement, there=False)
            lacking.append(requirement)
        for requirement, question in self.evidence.witnesses.items():
            if requirement not in lacking:
                self._asked(world, version, requirement, question)
        return list(dict.fromkeys(lacking))

    def _asked(self, world: Packages, version: Version, requirement: Requirement, question: Question) -> bool:
        answer = world.ask(question)
        there = bool(answer) if isinstance(answer, Lookup) else answer is not False
        self.evidence.note(version, requirement, there=there)
        return there

    def _refused(self, provider: Provider) -> list[Requirement]:
        release = self.own.engine.release
        found = []
        for conflict in self.scanner.conflicts(self.own, provider):
            subject = next((text.partition(" requires ")[2] for text in conflict.requirements), conflict.package)
            metadata = f"{ROOT}-{release.version}.dist-info/METADATA"
            found.append(Requirement(subject, messages.conflict(conflict).kind, str(release), metadata, 0))
            self.evidence.note(provider.release.version, found[-1], there=False)
        return found

    def _missing(self, provider: Provider) -> list[Requirement]:
        """What the codes of the target do not find."""
        found = list(required_by_codes(self.scanner.target, provider.release))
        self.evidence.of_codes.update(found)
        for requirement in found:
            self.evidence.note(provider.release.version, requirement, there=False)
        return found

    def _requirement(self, failure: Failure) -> Requirement:
        release = self.own.engine.consumers.release(failure.consumer)
        package = str(release) if release is not None else self.scanner.target.model
        return Requirement(messages.subject(failure), failure.kind, package, failure.file, failure.line)


def never_met(own: EngineScan) -> tuple[Requirement, ...]:
    """What ends every boot of the engine release with the model, or the code, whatever transformers is there."""
    of_engine = (
        Requirement(each.name, each.kind, each.provider, each.consumer_file, each.line)
        for each in own.own_findings
        if each.severity is Severity.ERROR
    )
    return (*of_engine, *required_by_codes(own.target, own.engine.release))


def required_by_codes(target: ScanTarget, release: Release) -> Iterator[Requirement]:
    """What somebody's own code asks of a release that does not give it."""
    for code in target.codes:
        for failure in missing(code, release, release.package):
            yield Requirement(failure.symbol, failure.kind, YOURS, failure.file, failure.line)


def look_at(  # noqa: PLR0913 - what is looked at, what is known, and how
    scanner: Scanner,
    own: EngineScan,
    versions: Sequence[Version],
    known: Observations | None = None,
    *,
    jobs: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Observations:
    """What each version lacks.

    Args:
        scanner: for the model and backend.
        own: the engine release.
        versions: of transformers, oldest first.
        known: what an earlier look found out; then each version is asked everything, not only until it lacks something.
        jobs: processes, each of which takes neighbouring versions; None: two where that is worth it.
        progress: told each version as it is looked at, or how many there are when processes share them.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    count = jobs or (min(2, os.cpu_count() or 1) if len(versions) >= _WORTH_SHARING else 1)
    if count == 1:
        return _look_at(scanner, own, versions, known, progress)
    if progress is not None:
        progress(f"{len(versions)} releases of {PROVIDER}")
    library = scanner.library
    library.store.flush()
    where = _Where(library.store.folder, library.index_url, scanner.target, own.engine.release.version)
    shares = [versions[len(versions) * i // count : len(versions) * (i + 1) // count] for i in range(count)]
    found = Observations()
    with ProcessPoolExecutor(count) as pool:
        for part in [pool.submit(_in_process, where, share, known) for share in shares]:
            evidence, traffic = part.result()
            found.add(evidence)
            library.index.downloads.traffic.add(traffic)
    return found


@dataclass(frozen=True, slots=True)
class _Where:
    """What another process needs to look at the same engine release."""

    cache: Path
    index_url: str | None
    target: ScanTarget
    lmdeploy: Version


def _in_process(where: _Where, versions: Sequence[Version], known: Observations | None) -> tuple[Observations, Traffic]:
    library = Library(where.cache, index_url=where.index_url)
    try:
        scanner = Scanner(library, where.target)
        found = _look_at(scanner, scanner.engine(where.lmdeploy), versions, known, None)
        return found, library.index.downloads.traffic
    finally:
        library.close()


def _look_at(
    scanner: Scanner,
    own: EngineScan,
    versions: Sequence[Version],
    known: Observations | None,
    progress: Callable[[str], None] | None,
) -> Observations:
    settling = _Settling(scanner, own)
    if known is not None:
        settling.evidence.witnesses.update(known.witnesses)
    order = [*versions[-1:], *versions[:-1]]  # the ends first: what they lack excludes most of the others
    for place, version in enumerate(order):
        settling.look_ahead(order[place + 1 : place + _AHEAD])
        if progress is not None:
            progress(f"{PROVIDER} {version}")
        look = settling.quick if known is None else settling.everything
        settling.evidence.considered.add(version)
        settling.evidence.lacks[version] = look(version)
        scanner.forget(version)
    return settling.evidence


def _effort(witness: tuple[Requirement, Question]) -> bool:
    """Names of the package itself come last: to prove that one is nowhere takes every file it may be served from."""
    question = witness[1]
    return question[0] == "name" and question[1] == PROVIDER


def _unconditional(failure: Failure) -> Question | None:
    """The question whose answer alone makes the failure, for what is asked on every path."""
    if failure.kind is Topic.MODEL_TYPE:
        return ("knows", failure.name)
    if failure.kind in (Topic.NAME, Topic.MODULE) and not failure.function:
        return ("name", failure.module, failure.name) if failure.name else ("module", failure.module)
    return None

"""Scanning a pair of an engine release and a transformers release, for a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.engines import Backend
from harness.scan.answers import messages
from harness.scan.answers.findings import Finding, PairScan, Prediction, Severity, judge
from harness.scan.evaluation import metadata
from harness.scan.evaluation.boot import Reached, evaluate
from harness.scan.evaluation.engine import ROOT, EngineRelease
from harness.scan.evaluation.failures import Failure, Topic
from harness.scan.evaluation.importing import Consumers
from harness.scan.evaluation.model_classes import ModelClasses
from harness.scan.evaluation.needs import Guard, Need, needs_of
from harness.scan.evaluation.outside import PROVIDER, Evaluations, Packages, module_there, name_there
from harness.scan.evaluation.provider import AVAILABLE, Provider
from harness.scan.evaluation.undeclared import EngineStack
from harness.scan.sources.calls import Call, calls_of
from harness.scan.sources.conditions import Surroundings
from harness.scan.sources.release import NoSuchRelease

if TYPE_CHECKING:
    from harness.scan.evaluation.outside import Outside
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.sources.release import Library, Release

_TORCH_FLOOR = re.compile(rb"Disabling PyTorch because PyTorch >= (\d+(?:\.\d+)*) is required")


@dataclass
class EngineScan:
    """One engine release with everything that does not depend on transformers."""

    engine: EngineRelease
    target: ScanTarget
    torch: Version | None
    stack: EngineStack
    memory: Evaluations[Reached]

    @cached_property
    def needs(self) -> list[Need]:
        """Every name the release imports from transformers, type checkers' ones left out."""
        return [need for need in needs_of(self.engine.release, PROVIDER) if need.guard is not Guard.TYPING]

    @cached_property
    def calls(self) -> list[Call]:
        """Every call with keywords to a name imported from transformers."""
        return calls_of(self.engine.release, PROVIDER)

    @cached_property
    def warned(self) -> metadata.WarnedRange | None:
        """The range of transformers that the release does not warn about."""
        return metadata.warned_range(self.engine.release)

    @cached_property
    def own_findings(self) -> tuple[Finding, ...]:
        """What is wrong with the release for the model, whatever transformers is there."""
        engine, target = self.engine, self.target
        roots = dict.fromkeys(module.partition(".")[0] for module in target.imports)
        found = [messages.unread(root, target.model) for root in roots if engine.consumers.release(root) is None]
        listed = target.engine.architectures
        if listed is not None and not engine.supports(target):
            found.append(messages.unsupported(engine, target, listed))
        quantised = target.quantisation != "none" and target.backend == Backend.PYTORCH
        if quantised and not engine.mentions_quantisation(target.quantisation):
            found.append(messages.quantisation(engine, target))
        if target.backend == Backend.PYTORCH:
            provided = target.provided(engine.release.version)
            found += [
                messages.undeclared(failure)
                for failure in self.stack.undeclared()
                if canonicalize_name(failure.module.partition(".")[0]) not in provided
            ]
        return tuple(found)


@dataclass
class Scanner:
    """Scans pairs for one target; what it has read of releases is kept for the next pair."""

    library: Library
    target: ScanTarget
    _engines: dict[Version, EngineScan] = field(default_factory=dict)
    _providers: dict[Version, Provider] = field(default_factory=dict)
    _model_classes: dict[Version, ModelClasses] = field(default_factory=dict)
    _worlds: dict[Version, dict[Version | None, Packages]] = field(default_factory=dict)
    """By transformers release and torch, which is all that differs between engine releases."""
    _floors: dict[str, Version | None] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    """Modules of transformers that were read in any release: fetched together from the next one."""

    @cached_property
    def _metadata(self) -> metadata.Metadata:
        return metadata.Metadata(self.library, self.target.python)

    def scan(self, lmdeploy: str | Version, transformers: str | Version, *, full: bool = True) -> PairScan:
        """The verdict on a pair, with its findings.

        Args:
            lmdeploy: version of the engine.
            transformers: version of the provider.
            full: also what the model does not come by, and all declared facts; the verdict's warnings need the former.

        Raises:
            NoSuchRelease: one of the versions is not in the index.
            IndexUnavailable: the index cannot be asked.
        """
        own = self.engine(lmdeploy)
        provider = self.provider(transformers)
        release = own.engine.release
        found = [messages.conflict(c) for c in self.conflicts(own, provider)]
        refused = bool(found)
        found += self._of_release(own, provider)
        world = self.world(own, provider)
        reached = own.memory.result(world)
        found += [messages.failure(p, provider.release, certain=True) for p in self._missing(reached.certain, own)]
        found += [messages.failure(p, provider.release, certain=False) for p in self._missing(reached.possible, own)]
        found += self._off_path(own, reached, world, provider.release)
        found += self._keywords(own, reached, world, provider.release)
        findings = tuple(sorted(dict.fromkeys(found), key=_order))
        return PairScan(
            lmdeploy=str(release.version),
            transformers=str(provider.release.version),
            model=self.target.model,
            backend=self.target.backend,
            python=self.target.python,
            verdict=judge(findings, refused=refused),
            findings=findings,
            declared=self.declared_facts(own, provider, refused=refused) if full else {},
        )

    def verdict(self, lmdeploy: Version, transformers: Version) -> tuple[Prediction, list[str]]:
        """The verdict on a pair with the names that decided it; as :meth:`scan`, but quick."""
        own, provider = self.engine(lmdeploy), self.provider(transformers)
        if self.conflicts(own, provider):
            return Prediction.REFUSED, []
        provider.release.fetch(self._used)
        world = self.world(own, provider)
        reached = own.memory.result(world)
        self._used.update(provider.release.read)
        errors = [f.name for f in self._of_release(own, provider) if f.severity is Severity.ERROR]
        errors += [failure.symbol or failure.error for failure in self._missing(reached.certain, own)]
        if errors:
            return Prediction.FAIL, list(dict.fromkeys(errors))
        risks = [f.name for f in own.own_findings if f.severity is Severity.WARNING]
        risks += [p.symbol for p in self._missing(reached.possible, own) if messages.is_risk(p)]
        risks += [
            f.name for f in self._off_path(own, reached, world, provider.release) if f.severity is Severity.WARNING
        ]
        risks += [
            f.name for f in self._keywords(own, reached, world, provider.release) if f.severity is Severity.WARNING
        ]
        return (Prediction.WARN if risks else Prediction.PASS), list(dict.fromkeys(risks))

    def failures(self, own: EngineScan, provider: Provider) -> list[Failure]:
        """What certainly ends a boot with a transformers release, on the path."""
        provider.release.fetch(self._used)
        reached = own.memory.result(self.world(own, provider))
        self._used.update(provider.release.read)
        return self._missing(reached.certain, own)

    def release_findings(self, own: EngineScan, provider: Provider) -> list[Finding]:
        """Errors that no single import is to blame for."""
        return [finding for finding in self._of_release(own, provider) if finding.severity is Severity.ERROR]

    def conflicts(self, own: EngineScan, provider: Provider) -> list[metadata.Conflict]:
        """Why a resolver refuses the pair; none when it accepts it."""
        return self._metadata.conflicts(own.engine.release, provider.release)

    def engine(self, version: str | Version) -> EngineScan:
        """An engine release, its sources at hand.

        Raises:
            NoSuchRelease: the index does not have it.
            IndexUnavailable: the index cannot be asked.
        """
        release = self.library.release(ROOT, version)
        if release.version not in self._engines:
            release.fetch(release.modules)
            consumers = Consumers({ROOT: release} | self._model_packages())
            engine = EngineRelease(release, consumers)
            _, torch = metadata.newest_torch(self.library, release, self.target.python)
            stack = EngineStack(self.library, release, torch, self.target.python)
            absent = partial(self._absent, stack, release.version)
            memory = Evaluations(partial(evaluate, engine, self.target, absent))
            self._engines[release.version] = EngineScan(engine, self.target, torch, stack, memory)
        return self._engines[release.version]

    def _absent(self, stack: EngineStack, lmdeploy: Version, root: str) -> bool:
        if root in {ROOT, PROVIDER} or canonicalize_name(root) in self.target.provided(lmdeploy):
            return False
        return stack.lacks(root)

    def provider(self, version: str | Version) -> Provider:
        """A transformers release.

        Raises:
            NoSuchRelease: the index does not have it.
            IndexUnavailable: the index cannot be asked.
        """
        release = self.library.release(PROVIDER, version)
        if release.version not in self._providers:
            self._providers[release.version] = Provider(release, Surroundings(available=AVAILABLE))
        return self._providers[release.version]

    def forget(self, version: Version) -> None:
        """Drop what is known of a transformers release from memory."""
        self._providers.pop(version, None)
        self._model_classes.pop(version, None)
        self._worlds.pop(version, None)
        self.library.forget(PROVIDER, version)

    def world(self, own: EngineScan, provider: Provider) -> Packages:
        """The packages around an engine release."""
        versions = {PROVIDER: str(provider.release.version), "python": self.target.python}
        if own.torch is not None:
            versions["torch"] = str(own.torch)
        surroundings = Surroundings(versions, AVAILABLE)
        version = provider.release.version
        if version not in self._model_classes:
            self._model_classes[version] = ModelClasses(provider)
        worlds = self._worlds.setdefault(version, {})
        if own.torch not in worlds:
            model_classes = self._model_classes[version]
            worlds[own.torch] = Packages({PROVIDER: provider}, model_classes, surroundings, self.target.checkpoint)
        return worlds[own.torch]

    def torch_floor(self, provider: Provider) -> Version | None:
        """The oldest torch that a transformers release does not switch off."""
        module = f"{PROVIDER}.utils.import_utils"
        content = provider.release.content_of(module)
        if content is None:
            return None
        if content not in self._floors:
            text = provider.release.reading(module, "torch-floor-1", _floor)
            self._floors[content] = Version(text) if text else None
        return self._floors[content]

    def declared_facts(self, own: EngineScan, provider: Provider, *, refused: bool) -> dict[str, Any]:
        """What the metadata says, as plain data."""
        release = own.engine.release
        warned = own.warned
        pin = metadata.torch_pin(self.library, release, self.target.python)
        wanted = [str(r) for r in release.requirements if canonicalize_name(r.name) == PROVIDER]
        return {
            "resolver": "refuses" if refused else "accepts",
            "requires": wanted[0] if wanted else None,
            "warns_outside": None if warned is None else str(warned.specifier),
            "inside_warned_range": None if warned is None else warned.contains(provider.release.version),
            "warned_range_at": None if warned is None else f"{warned.place.file}:{warned.place.line}",
            "wheels_for": metadata.wheel_pythons(self.library, ROOT, release.version),
            "transformers_requires_python": provider.release.requires_python,
            "torch": pin.requirement or None,
            "torch_newest": None if pin.newest is None else str(pin.newest),
            "cuda": pin.cuda,
            "undeclared": sorted(self._undeclared(own)),
        }

    def _model_packages(self) -> dict[str, Release]:
        """The packages that the model's own code imports and that can be read, by top-level module."""
        wanted = [Requirement(text) for text in self.target.packages]
        found: dict[str, Release] = {}
        for root in dict.fromkeys(module.split(".")[0] for module in self.target.imports):
            names = [root, *(requirement.name for requirement in wanted if canonicalize_name(requirement.name) != root)]
            for name in names:
                release = self._newest(name, wanted)
                if release is not None and release.has(root):
                    found[root] = release
                    break
        return found

    def _newest(self, name: str, wanted: list[Requirement]) -> Release | None:
        """The newest fitting release, or None when the index has no such package: a module may come from another."""
        try:
            return self.library.newest(name, wanted)
        except NoSuchRelease:
            return None

    def _of_release(self, own: EngineScan, provider: Provider) -> list[Finding]:
        """Findings that no single import is to blame for."""
        found = [*own.own_findings]
        engine = own.engine
        floor = self.torch_floor(provider)
        if floor is not None and own.torch is not None and own.torch < floor:
            found.append(messages.torch_too_old(engine.release, provider.release, own.torch, floor))
        warned = own.warned
        if warned is not None and not warned.contains(provider.release.version):
            found.append(messages.outside_range(engine.release, provider.release, warned))
        return found

    def _missing(self, failures: tuple[Failure, ...], own: EngineScan) -> list[Failure]:
        """Without modules of packages that the model's lock adds."""
        provided = self.target.provided(own.engine.release.version)
        return [
            p
            for p in failures
            if not (p.kind is Topic.MODULE and canonicalize_name(p.module.split(".")[0]) in provided)
        ]

    def _undeclared(self, own: EngineScan) -> set[str]:
        declared_names = {canonicalize_name(r.name) for r in own.engine.release.requirements}
        return {name for name in self.target.provided(own.engine.release.version) if name not in declared_names}

    def _keywords(self, own: EngineScan, reached: Reached, outside: Outside, provider: Release) -> list[Finding]:
        """Keywords that functions and classes of the provider no longer accept, or do not accept yet."""
        return [
            messages.refused_keyword(call, keyword, provider, loaded=call.consumer in reached.modules)
            for call in own.calls
            if name_there(outside, call.module, call.name)
            for keyword in call.keywords
            if outside.ask(("accepts", call.module, call.name, call.attribute, keyword)) is False
        ]

    def _off_path(self, own: EngineScan, reached: Reached, outside: Outside, provider: Release) -> list[Finding]:
        """Names that the release imports where this model does not come by."""
        found = []
        for need in own.needs:
            if need.consumer in reached.modules and not need.function:
                continue
            answer = name_there(outside, need.module, need.name) if need.name else module_there(outside, need.module)
            if not answer:
                found.append(messages.off_path(need, answer, provider))
        return found


def with_ranges(scan: PairScan, ranges: dict[str, tuple[str | None, str | None]]) -> PairScan:
    """The same scan, its findings telling the first and last version that has each name."""
    findings = []
    for finding in scan.findings:
        first, last = ranges.get(finding.name, (None, None))
        findings.append(replace(finding, first_version=first, last_version=last))
    return replace(scan, findings=tuple(findings))


def _floor(source: bytes) -> str:
    match = _TORCH_FLOOR.search(source)
    return "" if match is None else match[1].decode()


def _order(finding: Finding) -> tuple[int, bool, str, int]:
    return list(Severity).index(finding.severity), not finding.on_path, finding.consumer_file, finding.line

"""The wording of findings, and what each kind of failure means for the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.scan.answers.findings import Finding, Severity
from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.needs import Guard

if TYPE_CHECKING:
    from packaging.version import Version

    from harness.engines.engine import Architectures
    from harness.scan.evaluation.engine import EngineRelease
    from harness.scan.evaluation.failures import Failure
    from harness.scan.evaluation.metadata import Conflict, WarnedRange
    from harness.scan.evaluation.needs import Need
    from harness.scan.evaluation.provider import Lookup
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.sources.calls import Call
    from harness.scan.sources.release import Release


def failure(found: Failure, provider: Release, *, certain: bool) -> Finding:
    """A failure on the model's path."""
    severity = Severity.ERROR if certain else Severity.WARNING if is_risk(found) else Severity.NOTE
    who = str(provider) if found.module.split(".")[0] == provider.package else found.module.split(".")[0]
    return Finding(
        kind=found.kind,
        severity=severity,
        name=subject(found),
        provider=who,
        consumer_file=found.file,
        line=found.line,
        guarded=found.guarded,
        message=_sentence(found, who),
        function=found.function,
        error=found.error,
        chain=found.chain,
    )


def subject(found: Failure) -> str:
    """What a failure is about, in a word."""
    if found.kind is Topic.MODEL_TYPE:
        return f"model type {found.name}"
    return found.name if found.kind in (Topic.ATTRIBUTE, Topic.KEY) else found.symbol or found.error


def is_risk(found: Failure) -> bool:
    """Whether something that need not happen is still a risk: not when a clause catches it."""
    return found.guarded != "try"


def off_path(need: Need, answer: Lookup, provider: Release) -> Finding:
    """A missing name that the model's boot does not come by."""
    at_import = not need.function and need.guard is Guard.NONE
    kind = Topic.MODULE if answer.error == "ModuleNotFoundError" else Topic.NAME
    what = f"module {need.module}" if kind is Topic.MODULE else f"{need.name} in {need.module}"
    where = f"only {need.function}() needs it" if need.function else f"only {need.consumer} needs it"
    return Finding(
        kind=kind,
        severity=Severity.WARNING if at_import else Severity.NOTE,
        name=need.symbol,
        provider=str(provider),
        consumer_file=need.file,
        line=need.line,
        guarded="" if need.guard is Guard.NONE else str(need.guard),
        message=f"{provider} has no {what}; {where}, which this model does not come by",
        function=need.function,
        error=answer.error,
        on_path=False,
    )


def refused_keyword(call: Call, keyword: str, provider: Release, *, loaded: bool) -> Finding:
    """A keyword that what is called does not accept."""
    return Finding(
        kind=Topic.KEYWORD,
        severity=Severity.WARNING if loaded else Severity.NOTE,
        name=f"{call.module}.{call.called}({keyword}=)",
        provider=str(provider),
        consumer_file=call.file,
        line=call.line,
        guarded="",
        message=f"{call.called} in {provider} takes no {keyword}; {call.file}:{call.line} passes it",
        function=call.function,
        error="TypeError",
        on_path=loaded,
    )


def conflict(found: Conflict) -> Finding:
    """A pair the resolver refuses."""
    kind = Topic.PYTHON if found.package == "python" else Topic.RESOLVER
    return Finding(kind, Severity.ERROR, found.package, found.package, "", 0, "", str(found))


def unsupported(engine: EngineRelease, target: ScanTarget, listed: Architectures) -> Finding:
    """A backend whose list does not have the model's architecture."""
    place = engine.support_list(listed)
    message = f"{engine.release} has no {target.architecture} in the {target.backend} engine's list of architectures"
    message += f"; {listed.fallback}" if listed.fallback else ""
    return Finding(
        Topic.ARCHITECTURE,
        Severity.ERROR,
        target.architecture,
        str(engine.release),
        place.file,
        place.line,
        "",
        message,
        chain=(place.module,),
    )


def quantisation(engine: EngineRelease, target: ScanTarget) -> Finding:
    """A quantisation method that the pytorch engine does not know."""
    message = f"the pytorch engine of {engine.release} nowhere mentions {target.model}'s {target.quantisation}"
    place = engine.quantisation_place()
    file, line = ("", 0) if place is None else (place.file, place.line)
    return Finding(
        Topic.QUANTISATION, Severity.ERROR, target.quantisation, str(engine.release), file, line, "", message
    )


def undeclared(found: Failure) -> Finding:
    """An import, in a package that every boot loads, of a module that nothing in the stack brings."""
    importer = found.consumer.partition(".")[0]
    root = found.module.partition(".")[0]
    where = f"{found.file}:{found.line}"
    message = f"{where} imports {root}, which {importer} does not declare and nothing installs: require it too"
    return Finding(
        Topic.REQUIREMENT,
        Severity.ERROR,
        root,
        importer,
        found.file,
        found.line,
        "",
        message,
        found.function,
        found.error,
        chain=found.chain,
    )


def unread(module: str, model: str) -> Finding:
    """A module that the model needs and that no package was found for."""
    message = (
        f"no package that brings {module} was found for {model}: what it needs is not known; name it with --package"
    )
    return Finding(Topic.REQUIREMENT, Severity.WARNING, module, model, "", 0, "", message)


def torch_too_old(engine: Release, provider: Release, torch: Version, floor: Version) -> Finding:
    """A transformers release that switches torch off."""
    limit = f"{engine} allows at most torch {torch}"
    message = f"{provider} switches PyTorch off below {floor}; {limit}: model classes are dummies"
    return Finding(
        Topic.TORCH, Severity.ERROR, "torch", str(provider), "transformers/utils/import_utils.py", 0, "", message
    )


def outside_range(engine: Release, provider: Release, warned: WarnedRange) -> Finding:
    """A pair that the engine itself warns about; its range is wrong in both directions, so it decides nothing."""
    message = f"{engine} warns about {provider}: it was tried with {warned.specifier} only"
    place = warned.place
    return Finding(Topic.DECLARED, Severity.NOTE, "transformers", str(provider), place.file, place.line, "", message)


def _sentence(found: Failure, provider: str) -> str:
    where = f"{found.file}:{found.line}" if found.file else found.consumer
    match found.kind:
        case Topic.NAME:
            return f"{provider} has no {found.name} in {found.module}; {where} imports it"
        case Topic.MODULE:
            return f"{provider} has no module {found.module}; {where} imports it"
        case Topic.ATTRIBUTE | Topic.KEY:
            return f"{provider} has no {found.name}; {where} reads it"
        case Topic.MODEL_TYPE:
            return f"{provider} does not know the model type {found.name}"
        case Topic.RAISES:
            return f"{where} raises {found.error} for this model"
    return f"{provider}: {found.symbol} at {where}"

"""From the diagnosis of a failure to a changed combination that might not have it.

What is proposed is a guess until it has run; :mod:`harness.remedy.trial` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.core.verdict import Expectation, Reason, Status, Verdict
from harness.diagnose.boundaries import shipped
from harness.engines import LAUNCHES, Backend, configuration_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import Record
    from harness.matrix import Combination


@dataclass(frozen=True, slots=True)
class Repair:
    """One changed combination, and the change in words."""

    combination: Combination
    change: str


def missing_names(record: Record) -> list[str]:
    """Every name of transformers that a check of the record found missing, e.g. ``transformers.BeamSearchScorer``."""
    found: dict[str, None] = {}
    for stage in record.stages:
        for check in stage.checks:
            diagnosis = check.diagnosis
            if check.outcome is Status.FAIL and diagnosis is not None and diagnosis.family is Reason.SYMBOL:
                name = f"{diagnosis.captures.get('provider', '')}.{diagnosis.captures.get('symbol', '')}".strip(".")
                if name.startswith("transformers"):
                    found[name] = None
    return list(found)


def propose(combination: Combination, record: Record, names: Sequence[str], tried: Sequence[str]) -> Repair | None:  # noqa: PLR0911 - one a family
    """The change that the record's diagnosis calls for, or None when none is known.

    Args:
        combination: what failed.
        record: how it failed.
        names: names of transformers that this attempt and earlier ones found missing; the version has to have all.
        tried: versions of transformers that were tried already.
    """
    diagnosis = record.decisive
    if diagnosis is None or Verdict.parse(record.verdict).status is not Status.FAIL:
        return None
    match diagnosis.family:
        case Reason.SYMBOL if names:
            return _other_transformers(combination, names, tried)
        case Reason.ENTRYPOINT:
            return _other_launch(combination)
        case Reason.QUANTISATION:
            return _other_engine(combination)
        case Reason.MISSING_DEPENDENCY if "module" in diagnosis.captures:
            return _more_packages(combination, diagnosis.captures["module"])
        case Reason.RESOLVER_CONFLICT:
            return Repair(
                _pinned(combination, None), "let the resolver choose the transformers that this lmdeploy declares"
            )
    return None


def _other_transformers(combination: Combination, names: Sequence[str], tried: Sequence[str]) -> Repair | None:
    """The newest version with all the names; newest, because what is old lacks what the engine goes on to need."""
    table = shipped()
    known = [name for name in names if (there := table.of(name)) is not None and there.runs]
    fitting = [str(version) for version in table.satisfying(known) if str(version) not in tried]
    if not fitting:
        return None
    wanted = " and ".join(name.rsplit(".", 1)[-1] for name in known)
    return Repair(
        _pinned(combination, fitting[-1]),
        f"transformers {fitting[-1]} instead of {combination.transformers}: it has {wanted} "
        f"(so do {len(fitting)} versions from {fitting[0]} to {fitting[-1]})",
    )


def _other_engine(combination: Combination) -> Repair | None:
    """The engine of lmdeploy's that knows formats of quantised weights, for one that knows none."""
    known = {each: found.formats for each in Backend if (found := configuration_of(each)) is not None}
    if known.get(combination.backend, True):
        return None
    other = next(each for each, formats in known.items() if formats)
    return Repair(_changed(combination, backend=other), f"backend {other} instead of {combination.backend}")


def _other_launch(combination: Combination) -> Repair | None:
    instead = LAUNCHES[combination.launch].instead
    if instead is None:
        return None
    return Repair(_changed(combination, launch=instead), LAUNCHES[instead].advice)


def _more_packages(combination: Combination, module: str) -> Repair | None:
    package = canonicalize_name(module.split(".", 1)[0])
    if any(canonicalize_name(_name(each)) == package for each in combination.requirements):
        return None
    changed = _changed(combination, requirements=(*combination.requirements, package))
    return Repair(changed, f"install {package} as well")


def _pinned(combination: Combination, version: str | None) -> Combination:
    """The combination with another transformers; None: without a pin."""
    wanted = "transformers" if version is None else f"transformers=={version}"
    kept = [each for each in combination.requirements if canonicalize_name(_name(each)) != "transformers"]
    return _changed(combination, transformers=version or "any", requirements=(*kept, wanted))


def _changed(combination: Combination, **change: object) -> Combination:
    """The combination with a change, under an id that says so, expected to pass."""
    base = combination.id.split("-remedy-", 1)[0]
    word = str(change.get("transformers") or change.get("launch") or change.get("backend") or "more-packages")
    identity = f"{base}-remedy-{word}"
    return replace(
        combination,
        id=identity,
        expect=Expectation(Status.PASS),
        note=f"Remedy tried for {base}",
        tags=("remedy",),
        **change,  # type: ignore[arg-type]  # the callers above name fields of Combination
    )


def _name(requirement: str) -> str:
    try:
        return Requirement(requirement).name
    except InvalidRequirement:
        return requirement

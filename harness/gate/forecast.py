"""What a gate would come to, before anything is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from harness.core.errors import ExitCode
from harness.core.verdict import Stage, Verdict
from harness.session.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.gate.baseline import Baseline
    from harness.gate.candidates import Candidate
    from harness.matrix import Combination
    from harness.session.plan import Planned
    from harness.session.session import Session

STACK_SECONDS = 60.0
"""To install a stack from the installer's cache and import it. Measured, as the others, on two cores of an EPYC: the
reference run of the shipped matrix."""
GIGABYTE_SECONDS = 60.0
"""To download and unpack one."""
EMULATION_SECONDS = 180.0
OTHER_SECONDS = 5.0
"""What a combination takes beside that."""


class Group(BaseModel):
    """Comparisons on one stack, moved alike."""

    stack: str | None
    """The lock's name; None: the resolver finds none."""
    told: str
    """Which stack, in words."""
    models: list[str] = []
    moved: list[str]
    combinations: list[str]


class Forecast(BaseModel):
    """The whole of it."""

    bump: str
    comparisons: int
    gone: list[str]
    """What the matrix does not have any more."""
    stacks: int
    stacks_built: int
    download_bytes: int
    seconds: float
    """An estimate, for this machine's number of workers."""
    groups: list[Group]
    untested: list[str]
    notes: list[str]


def foretell(  # noqa: PLR0913 - what it tells of
    session: Session,
    candidates: Sequence[Candidate],
    baseline: Baseline,
    *,
    bump: str,
    untested: Sequence[str],
    notes: Sequence[str],
) -> Forecast:
    """The comparisons by stack, and what they cost; everything is resolved and nothing is installed.

    Raises:
        UvFailure: the resolver cannot be asked.
    """
    wanted = {each.id: each.combination for each in candidates if each.combination is not None}
    plan = make_plan(
        list(wanted.values()),
        session.models,
        resolver=session.resolver,
        environments=session.environments,
        weights=session.project.weights,
        known=session.known_verdicts(list(wanted.values())),
        jobs=session.workers,
    )
    planned = {each.combination.id: each for each in plan.planned}
    groups: dict[tuple[object, ...], Group] = {}
    for each in candidates:
        if each.combination is None:
            continue
        lock, told = _lock_of(planned[each.id]), _told(each.combination)
        group = groups.setdefault(
            (lock, told, each.moved), Group(stack=lock, told=told, moved=list(each.moved), combinations=[])
        )
        group.combinations.append(each.id)
        if each.combination.model not in group.models:
            group.models.append(each.combination.model)
    to_build = plan.stacks - plan.stacks_built
    work = sum(_seconds(planned[each.id], each.reference, baseline) for each in candidates if each.combination)
    return Forecast(
        bump=bump,
        comparisons=len(candidates),
        gone=[each.reference for each in candidates if each.combination is None],
        stacks=plan.stacks,
        stacks_built=plan.stacks_built,
        download_bytes=plan.download_bytes,
        seconds=(work + to_build * STACK_SECONDS + plan.download_bytes / 1e9 * GIGABYTE_SECONDS) / session.workers,
        groups=sorted(groups.values(), key=lambda group: (-len(group.combinations), group.told)),
        untested=list(untested),
        notes=list(notes),
    )


def decide_forecast(told: Forecast) -> ExitCode:
    """The exit code of a forecast: whether there is something to do, and whether all of the change is understood."""
    if told.untested:
        return ExitCode.OUTSTANDING
    return ExitCode.OK if told.comparisons else ExitCode.NOTHING_TO_DO


def _lock_of(planned: Planned) -> str | None:
    found = planned.resolution
    return found.lock.name if found is not None and found.lock is not None else None


def _told(combination: Combination) -> str:
    dated = f", packages of {combination.as_of}" if combination.as_of is not None else ""
    return (
        f"lmdeploy {combination.lmdeploy}, transformers {combination.transformers}, Python {combination.python}{dated}"
    )


def _seconds(planned: Planned, reference: str, baseline: Baseline) -> float:
    """What a comparison takes once its stack is there."""
    if planned.known is not None or _lock_of(planned) is None:
        return 0.0
    known = baseline.combinations.get(reference)
    stage = Verdict.parse(known.verdict).stage if known is not None else None
    gets_there = stage is None or stage.position >= Stage.EMULATE.position
    return EMULATION_SECONDS if planned.emulated and gets_there else OTHER_SECONDS

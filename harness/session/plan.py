"""What would run: combinations, distinct stacks, downloads, what is known and what this machine must leave blocked."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.environments.interpreters import NoInterpreter
from harness.pipeline.checkpoints import find_checkpoint
from harness.pipeline.checks import ASKED_STAGES, checks_of, needs_gpu, needs_weights
from harness.pipeline.stack import UV_MEANS, ask
from harness.session.miniatures import made_by_a_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.environments.environment import Environments
    from harness.environments.resolve import Resolution, Resolver
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Planned:
    """One combination before it runs."""

    combination: Combination
    resolution: Resolution | None
    """None when it is excluded or there is no interpreter."""
    known: str | None
    """The verdict of an earlier run with the same inputs."""
    foreseen: Verdict | None
    """What is certain before anything is installed: excluded, refused by the resolver, or blocked at that stage if it
    gets there."""
    emulated: bool = False
    """Whether the engine is emulated on the CPU before that."""


@dataclass(slots=True)
class Plan:
    """The whole of it."""

    planned: list[Planned] = field(default_factory=list)
    stacks: int = 0
    stacks_built: int = 0
    download_bytes: int = 0
    """Size of the distinct files of the stacks that are not built yet; what the installer's cache already holds is
    not known and not taken off."""

    def counts(self) -> Counter[str]:
        """How many combinations are known, skipped, refused, blocked later on, or open."""
        return Counter(_class(each) for each in self.planned)


def foresee(combination: Combination, spec: ModelSpec, weights: Path) -> Verdict | None:
    """Where this machine stops the combination at the latest; None when it lacks nothing."""
    if combination.excluded is not None:
        return Verdict(Status.SKIPPED, Stage.RESOLVE, Reason.EXCLUDED, combination.excluded)
    checkpoint = find_checkpoint(spec, weights)
    missing = checkpoint.folder is None and not made_by_a_run(spec, weights)
    for stage in ASKED_STAGES:
        if needs_weights(combination, stage) and missing:
            return Verdict(Status.BLOCKED, stage, Reason.WEIGHTS, checkpoint.missing)
        if needs_gpu(combination, stage) and not machine().gpus:
            return Verdict(Status.BLOCKED, stage, Reason.DRIVER_OR_GPU)
    return None


def make_plan(  # noqa: PLR0913 - the parts it is made from
    combinations: Sequence[Combination],
    models: Mapping[str, ModelSpec],
    *,
    resolver: Resolver,
    environments: Environments,
    weights: Path,
    known: Mapping[str, str],
    jobs: int,
) -> Plan:
    """Resolve everything (nothing is installed) and add it up.

    Args:
        combinations: what was selected.
        models: the specs by name.
        resolver: asked, and remembers.
        environments: those built already.
        weights: folder of weights made on the spot.
        known: verdicts of earlier runs with the same inputs, by id.
        jobs: how many resolutions at a time.

    Raises:
        UvFailure: the index cannot be reached.
    """

    def resolve(combination: Combination) -> Resolution | None:
        if combination.excluded is not None:
            return None
        try:
            return ask(combination, resolver)
        except NoInterpreter:
            return None

    plan = Plan()
    with ThreadPoolExecutor(jobs) as pool:
        resolutions = list(pool.map(resolve, combinations))
    files: dict[str, int] = {}
    stacks: dict[str, bool] = {}
    for combination, resolution in zip(combinations, resolutions, strict=True):
        foreseen = foresee(combination, models[combination.model], weights)
        if resolution is not None and resolution.failure is not None:
            status, reason = UV_MEANS[resolution.failure.kind]
            if status is Status.INFRA:
                raise resolution.failure
            foreseen = Verdict(status, Stage.RESOLVE, reason)
        wanted = combination.excluded is None
        emulated = wanted and any(checks_of(combination, models[combination.model], Stage.EMULATE))
        plan.planned.append(Planned(combination, resolution, known.get(combination.id), foreseen, emulated))
        if resolution is not None and resolution.lock is not None and resolution.lock.name not in stacks:
            built = environments.find(resolution.lock) is not None
            stacks[resolution.lock.name] = built
            if not built:
                files.update(resolution.lock.download_sizes(combination.python))
    plan.stacks = len(stacks)
    plan.stacks_built = sum(stacks.values())
    plan.download_bytes = sum(files.values())
    return plan


def _class(each: Planned) -> str:
    if each.known is not None:
        return "known"
    if each.foreseen is None:
        return "to the last stage"
    if each.foreseen.status is Status.SKIPPED:
        return "skipped in the matrix"
    if each.foreseen.status is Status.FAIL:
        return "refused by the resolver"
    return f"as far as {each.foreseen.stage}{', emulated on the CPU before it' if each.emulated else ''}"

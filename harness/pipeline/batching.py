"""Combinations that share a stack, asked together: what they will all want to know is found out in few processes.

All open checks of a stage go to the environment as one batch, and only combinations that passed the stage below have
checks in the next. The pipelines afterwards find their answers in the cache, so how a verdict comes about is written in
one place, :mod:`harness.pipeline.stages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.verdict import Stage, Status
from harness.environments.interpreters import NoInterpreter
from harness.environments.lock import InvalidLock
from harness.environments.uv import UvFailure
from harness.environments.wholeness import NotWhole
from harness.pipeline.check_runner import CheckCall, Subject
from harness.pipeline.checks import ASKED_STAGES, checks_of, needs_gpu, needs_weights
from harness.pipeline.stack import ask, install

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.pipeline.check_cache import CheckResult
    from harness.pipeline.checkpoints import Checkpoint
    from harness.pipeline.services import Services

BATCHED = tuple(stage for stage in ASKED_STAGES if stage.position < Stage.BOOT.position)
"""Stages whose calls may share a process. A boot may want the GPU, and is timed: it has a process of its own."""


def ask_together(
    group: Sequence[Combination],
    models: Mapping[str, ModelSpec],
    checkpoints: Mapping[str, Checkpoint],
    services: Services,
) -> list[CheckResult]:
    """Find out what the group's pipelines will ask, as far as it can be asked together, and return the answers.

    Trouble on the way (no lock, no environment, one that lost files) is left to the pipelines to tell.

    Raises:
        Cancelled: the run is being stopped.
        OSError: a file of the harness's own could not be written.
    """
    first = group[0]
    if first.excluded is not None:
        return []
    try:
        lock = ask(first, services.resolver).lock
        if lock is None:
            return []
        environment = install(first, lock, services.environments)
    except (NoInterpreter, UvFailure, InvalidLock):
        return []
    subjects = [
        Subject(each, models[each.model], checkpoints[each.model], lock) for each in group if each.excluded is None
    ]
    found: dict[str, CheckResult] = {}
    for stage in BATCHED:
        wanted = {subject.combination.id: _calls(subject, stage) for subject in subjects}
        by_key = {call.key: call for calls in wanted.values() for call in calls}
        try:
            answers = services.answers.prepare(
                list(by_key),
                lambda keys, by_key=by_key: services.check_runner.ask([by_key[key] for key in keys], environment),  # type: ignore[misc]
                fresh_since=services.fresh_since,
            )
        except NotWhole:
            break
        found |= answers
        subjects = [subject for subject in subjects if _goes_on(subject, stage, wanted, answers)]
    return list(found.values())


def _calls(subject: Subject, stage: Stage) -> list[CheckCall]:
    combination = subject.combination
    if needs_weights(combination, stage) and subject.checkpoint.folder is None:
        return []
    if needs_gpu(combination, stage) and not machine().gpus:
        return []
    return [CheckCall(check, subject) for check in checks_of(combination, subject.spec, stage)]


def _goes_on(
    subject: Subject, stage: Stage, wanted: Mapping[str, Sequence[CheckCall]], answers: Mapping[str, CheckResult]
) -> bool:
    """Whether every call of the stage was answered with a pass."""
    return all(
        part.outcome is Status.PASS
        for call in wanted[subject.combination.id]
        for part in answers[call.key].stages
        if part.stage is stage
    )

"""Whether a record can be what a run wrote: a forged or damaged one contradicts itself somewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.verdict import Stage, Status, Verdict
from harness.engines import ENGINES
from harness.evidence.sightings import aware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.records import Record, StageRecord
    from harness.environments.lock import Lock

_AXES = ("python", "lmdeploy", "transformers", "backend", "model")
_LOCK = re.compile(r"[0-9a-f]{16}")


def flaw(record: Record, lock: Lock | None = None) -> str:
    """What is wrong with it, in a few words; empty: nothing.

    Args:
        record: from anywhere.
        lock: the lock that came with it, if one did.
    """
    return next(_flaws(record, lock), "")


def _flaws(record: Record, lock: Lock | None) -> Iterator[str]:
    for name in _AXES:
        if record.axes.get(name, "") == "" or record.axes[name] not in record.id:
            yield f"its id does not name its {name}"
    if aware(record.finished) < aware(record.started):
        yield "it ended before it began"
    yield from _flaws_of_stages(record)
    if bool(record.lock) != bool(record.stack) or (record.lock and not _LOCK.fullmatch(record.lock)):
        yield "lock and stack do not belong together"
    for name in ("lmdeploy", "transformers"):
        if record.stack and record.stack.get(name) != record.axes.get(name):
            yield f"its stack has {name} {record.stack.get(name)}, its id {record.axes.get(name)}"
    if lock is not None and (lock.name != record.lock or dict(lock.stack) != record.stack):
        yield "its lock file holds other packages"


def _flaws_of_stages(record: Record) -> Iterator[str]:
    verdict = Verdict.parse(record.verdict)
    told = [Verdict.parse(each.verdict) for each in record.stages]
    places = [each.stage.position for each in record.stages]
    if places != sorted(set(places)):
        yield "its stages are out of order"
    if any(each.status is not Status.PASS for each in told[:-1]):
        yield "it went on after a stage that did not pass"
    if not told:
        if verdict.status is Status.PASS:
            yield "it passes without a stage"
        return
    passes = told[-1].status is Status.PASS
    if verdict.status is Status.PASS and not (passes and record.stages[-1].stage is Stage.STRUCTURE):
        yield "it passes without having passed the last stage"
    if verdict.status is not Status.PASS and (verdict.status, verdict.stage) != (told[-1].status, told[-1].stage):
        yield "its verdict is not that of its last stage"
    for stage, said in zip(record.stages, told, strict=True):
        yield from _flaws_of_stage(stage, said)
    engine = ENGINES.get(record.axes.get("backend", ""))
    up = any(
        each.stage is Stage.BOOT and said.status is Status.PASS for each, said in zip(record.stages, told, strict=True)
    )
    if engine is not None and engine.needs_gpu and up and not record.machine.gpus:
        yield "its engine needs a GPU, and its machine has none"


def _flaws_of_stage(stage: StageRecord, said: Verdict) -> Iterator[str]:
    outcomes = {check.outcome for check in stage.checks}
    if said.stage is not stage.stage:
        yield f"the verdict of {stage.stage} is of another stage"
    if said.status is Status.PASS and outcomes != {Status.PASS}:
        yield f"{stage.stage} passes, and not all of its checks do"
    if said.status is not Status.PASS and said.status not in outcomes:
        yield f"{stage.stage} has no check that ended as it did"

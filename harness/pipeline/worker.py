"""Taking combinations up, and writing down how far they got: what every executor does, on whatever machine.

Combinations that ask the resolver the same thing share a stack, so they are one piece of work: what they share is found
out once, by whoever does it, and nobody waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.core.files import digest, digest_of_files
from harness.core.machine import machine
from harness.core.program import command
from harness.core.records import Record
from harness.core.verdict import Expectation, Status, Verdict
from harness.environments.interpreters import NoInterpreter
from harness.pipeline.batching import ask_together
from harness.pipeline.check_runner import probes_digest
from harness.pipeline.checkpoints import folder_digest
from harness.pipeline.stack import request_of, stack_key
from harness.pipeline.stages import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.records import MachineRecord, StageRecord
    from harness.environments.lock import Lock
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.pipeline.check_cache import CheckResult
    from harness.pipeline.checkpoints import Checkpoint
    from harness.pipeline.services import Services

PIPELINE_VERSION = 1
"""Raised when the same events would be judged otherwise, so that what is known is judged again."""


@cache
def catalogue_digest() -> str:
    """Hash of the code and data that judge answers."""
    folder = Path(__file__).parents[1] / "diagnose"
    return digest_of_files(folder, [*folder.glob("*.py"), *folder.glob("*.yaml"), *folder.glob("*.json")])


@dataclass(frozen=True, slots=True)
class Finished:
    """How far one combination got. The record's attempt is the writer's to number."""

    record: Record
    lock: Lock | None


@dataclass(frozen=True, slots=True)
class Worker:
    """Takes combinations through the stages on one machine."""

    models: Mapping[str, ModelSpec]
    checkpoints: Mapping[str, Checkpoint]
    services: Services

    def prepare(self, group: Sequence[Combination]) -> list[CheckResult]:
        """Find out together what the pipelines of a group that shares a stack will ask.

        Returns:
            What was answered, so that another machine need not ask it again.

        Raises:
            Cancelled: the run is being stopped.
            OSError: a file of the harness's own could not be written.
        """
        return ask_together(group, self.models, self.checkpoints, self.services)

    def run(self, combination: Combination, on_stage: Callable[[StageRecord], None]) -> Finished:
        """One combination through the stages, written down.

        Raises:
            Cancelled: the run is being stopped; nothing of this attempt counts.
            OSError: a file of the harness's own could not be written.
        """
        started = datetime.now(UTC)
        spec, checkpoint = self.models[combination.model], self.checkpoints[combination.model]
        pipeline = Pipeline(combination, spec, checkpoint, self.services, on_stage=on_stage)
        verdict = pipeline.run()
        return self._written(combination, verdict, pipeline.stages, pipeline.lock, started)

    def broken_off(self, combination: Combination, message: str) -> Finished:
        """One of which nothing came but trouble with the machines, e.g. a node that was lost again and again."""
        spec, checkpoint = self.models[combination.model], self.checkpoints[combination.model]
        pipeline = Pipeline(combination, spec, checkpoint, self.services)
        return self._written(combination, pipeline.break_off(message), pipeline.stages, None, datetime.now(UTC))

    def inputs(self, combination: Combination, on: MachineRecord | None = None) -> str:
        """Hash of everything the record depends on; differs as soon as anything could come out otherwise.

        Args:
            combination: what runs.
            on: the machine it runs on; None: this one.
        """
        where = machine() if on is None else on
        checkpoint = self.checkpoints[combination.model]
        return digest(
            [
                PIPELINE_VERSION,
                __version__,
                probes_digest(),
                catalogue_digest(),
                _identity(combination),
                self._lock_name(combination),
                self.models[combination.model].model_dump(mode="json"),
                folder_digest(checkpoint.folder) if checkpoint.folder is not None else checkpoint.missing,
                [where.gpus, where.driver],
            ]
        )

    def _lock_name(self, combination: Combination) -> str:
        """The remembered lock, or what stands in its place; never asks uv."""
        if combination.excluded is not None:
            return "excluded"
        try:
            resolution = self.services.resolver.recall(request_of(combination))
        except NoInterpreter as missing:
            return str(missing)
        if resolution is None:
            return "unresolved"
        return resolution.lock.name if resolution.lock is not None else str(resolution.failure)

    def _written(
        self,
        combination: Combination,
        verdict: Verdict,
        stages: list[StageRecord],
        lock: Lock | None,
        started: datetime,
    ) -> Finished:
        record = Record(
            id=combination.id,
            attempt=1,
            axes=combination.axes,
            tags=list(combination.tags),
            verdict=str(verdict),
            expected=str(combination.expect),
            as_expected=as_expected(combination.expect, verdict),
            note=combination.note,
            stages=stages,
            lock=lock.name if lock is not None else None,
            stack=dict(lock.stack) if lock is not None else {},
            differences=dict(self.services.environments.differences(lock)) if lock is not None else {},
            machine=machine(),
            command=command("run", combination.id, "--fresh"),
            inputs=self.inputs(combination),
            harness=__version__,
            started=started,
            finished=datetime.now(UTC),
        )
        return Finished(record, lock)


def as_expected(expectation: Expectation, verdict: Verdict) -> bool | None:
    """Whether the verdict is what the matrix expects; None when nothing was learned about it.

    One that was blocked above the stage on which a failure was expected did learn something: the failure is gone.
    """
    if expectation.met_by(verdict):
        return True
    if verdict.status in {Status.INFRA, Status.SKIPPED}:
        return None
    if verdict.status is Status.BLOCKED:
        awaited, reached = expectation.stage, verdict.stage
        missed = expectation.status is Status.FAIL and awaited and reached and reached.position > awaited.position
        return False if missed else None
    return False


def _identity(combination: Combination) -> list[object]:
    """What the matrix says of it, its comments to the reader included, since records carry them."""
    return [
        combination.id,
        combination.axes,
        stack_key(combination),
        combination.options,
        list(combination.tags),
        str(combination.expect),
        combination.note,
        combination.excluded,
        sorted((str(stage), str(limit)) for stage, limit in combination.timeouts.items()),
    ]

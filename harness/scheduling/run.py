"""Running many combinations: which are known already, in which order the rest is done, and one writer for the results.

Who does the work, and where, is the executor's business (:mod:`harness.scheduling.executors`).
"""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from harness.core.errors import RunBroken
from harness.core.files import write_atomically
from harness.core.system import require_linux
from harness.core.verdict import Reason, Status, Verdict
from harness.environments.resolve import ASKING
from harness.pipeline.checkpoints import Checkpoint, find_checkpoint
from harness.pipeline.stack import groups_of, request_of
from harness.pipeline.worker import Worker
from harness.process.child import Cancelled
from harness.process.scratch import sweep
from harness.scheduling.executors import LocalExecutor
from harness.scheduling.priority import InTurn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import Record, StageRecord
    from harness.environments.lock import Lock
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.matrix.project import Project
    from harness.pipeline.services import Services
    from harness.pipeline.worker import Finished
    from harness.results.store import Known, ResultStore
    from harness.scheduling.budget import Budget
    from harness.scheduling.executors import Executor, Work
    from harness.scheduling.priority import Priority


class Listener(Protocol):
    """Hears what happens, from any worker's thread."""

    def begun(self, work: Sequence[Combination]) -> None:
        """Somebody took these up: all that share a stack, then each by itself."""

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """A stage was answered."""

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """A combination is done; ``known``: by an earlier run, with nothing to add."""


class _Silence:
    """A listener that says nothing."""

    def begun(self, work: Sequence[Combination]) -> None:
        """Nothing."""

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """Nothing."""

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """Nothing."""


SILENT: Listener = _Silence()


class LeftOver(Exception):  # noqa: N818 - no error: it says what became of a combination
    """The run's budget was used up before it was this combination's turn, or before it was done."""


def new_run_name() -> str:
    """A name that no other run has; names sort as the runs began."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class Run:
    """One execution of some combinations. Start it once, then ask for records by id."""

    project: Project
    combinations: Sequence[Combination]
    models: Mapping[str, ModelSpec]
    services: Services
    store: ResultStore
    listener: Listener
    jobs: int
    fresh: bool = False
    executor: Executor | None = None
    """Who does the work; None: this machine, ``jobs`` at a time."""
    priority: Priority = field(default_factory=InTurn)
    budget: Budget | None = None
    name: str = field(default_factory=new_run_name)
    """What its records call it."""
    _records: dict[str, Future[Record]] = field(default_factory=dict)
    _known: dict[str, Known] = field(default_factory=dict)
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    _by_id: dict[str, Combination] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _expired: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _watch: threading.Thread | None = None

    def known_verdicts(self) -> dict[str, str]:
        """What earlier runs reached from the same inputs, by id."""
        self._look_around()
        return {each.id: self._known[each.id].verdict for each in self.combinations if self._is_known(each)}

    def start(self) -> None:
        """Clear up after runs that were killed, settle what is known, and have the rest done.

        Raises:
            NeedsLinux: this machine cannot run anything.
            RunBroken: the executor cannot begin.
        """
        require_linux()
        for folder in (self.project.scratch, self.project.resolutions / ASKING):
            sweep(folder)
        self._look_around()
        self._records = {each.id: Future() for each in self.combinations}
        self._by_id = {each.id: each for each in self.combinations}
        groups = groups_of(each for each in self.combinations if not self._settle(each))
        if not groups:
            return
        self.store.write_schema()
        self.priority.begin(groups, self._known)
        if self.budget is not None:
            self.budget.begin()
            self._watch = threading.Thread(target=self._keep_time, args=(self.budget,), name="budget", daemon=True)
            self._watch.start()
        self._executor.start(self, self._worker, len(groups))

    def record(self, identity: str) -> Record:
        """The record of a combination, once it is there.

        Raises:
            Cancelled: the run was stopped first.
            LeftOver: the budget was used up first.
            RunBroken: the harness could not go on.
        """
        future = self._records[identity]
        while True:
            # a plain wait could not be interrupted from the keyboard
            with suppress(TimeoutError):
                return future.result(timeout=0.5)

    def done(self) -> bool:
        """Whether every record is there."""
        return all(future.done() for future in self._records.values())

    def stop(self) -> None:
        """Leave nothing running, and kill what is, unless all is done anyway; results are on the disk already."""
        self._stopping.set()
        self._executor.stop(done=self.done() and not self._expired.is_set())
        if self._watch is not None:
            self._watch.join(timeout=10)

    def next_work(self) -> Work | None:
        """What the executor is to do next; None when all is given out, or the budget allows no more."""
        with self._guard:
            if self._stopping.is_set() or self._expired.is_set():
                return None
            if self.budget is None:
                return self.priority.take()
            if self.budget.exhausted():
                self._expire()
                return None
            return self.priority.take()

    def goes_on(self) -> bool:
        """Whether work that was begun may go on with its next combination."""
        return not (self._stopping.is_set() or self._expired.is_set())

    def begun(self, work: Sequence[Combination]) -> None:
        """The executor's word that these are under way."""
        self.listener.begun(work)

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """The executor's word on a stage."""
        self.listener.stage_reached(combination, stage)

    def finished(self, finished: Finished) -> None:
        """The executor's result: append it, and tell everybody.

        Raises:
            OSError: the record or its lock could not be written.
        """
        if finished.lock is not None:
            self._keep(finished.lock)
        previous = self._known.get(finished.record.id)
        attempt = previous.attempt + 1 if previous is not None else 1
        record = finished.record.model_copy(update={"attempt": attempt, "run": self.name})
        record = self.store.append(record, unless_known=not self.fresh)
        with self._guard:
            self.priority.learn(record)
            if self.budget is not None:
                self.budget.spend(record)
        self.listener.finished(self._by_id[record.id], record, known=False)
        future = self._records[record.id]
        if not future.done():
            future.set_result(record)

    def failed(self, work: Sequence[Combination], error: Exception) -> None:
        """The executor's word on what it could not do."""
        if isinstance(error, OSError):
            error = RunBroken(str(error))
        if isinstance(error, Cancelled) and self._expired.is_set():
            error = LeftOver()
        for each in work:
            future = self._records[each.id]
            if not future.done():
                future.set_exception(error)

    @property
    def _executor(self) -> Executor:
        if self.executor is None:
            self.executor = LocalExecutor(self.jobs)
        return self.executor

    @property
    def _worker(self) -> Worker:
        return Worker(self.models, self._checkpoints, self.services)

    def _keep_time(self, budget: Budget) -> None:
        """Wait for the budget's end, and end the run there."""
        while not self._stopping.wait(budget.pause()):
            if self.done():
                return
            with self._guard:
                if budget.exhausted():
                    self._expire()
                if not (self._expired.is_set() and budget.overdue()):
                    continue
            self._executor.stop(done=False)
            self.failed(self.combinations, LeftOver())
            return

    def _expire(self) -> None:
        """Give out no more work; what was not begun is left over."""
        if not self._expired.is_set():
            self._expired.set()
            while (work := self.priority.take()) is not None:
                self.failed(work, LeftOver())

    def _look_around(self) -> None:
        self._known = self.store.latest()
        self._checkpoints = {
            name: find_checkpoint(self.models[name], self.project.weights)
            for name in {each.model for each in self.combinations}
        }

    def _is_known(self, combination: Combination) -> bool:
        """Whether an earlier run had the same inputs, on such a machine, and said something about versions."""
        known = self._known.get(combination.id)
        if known is None or known.is_infra:
            return False
        machines = self._executor.machines(combination)
        if _wants_gpu(known.verdict):
            machines = [each for each in machines if each.gpus] or machines
        return any(known.inputs == self._worker.inputs(combination, on=each) for each in machines)

    def _settle(self, combination: Combination) -> bool:
        """Take the record of an earlier run, where that is enough."""
        if self.fresh or not self._is_known(combination):
            return False
        try:
            record = self._known[combination.id].record()
        except ValidationError:
            return False  # of another version of the schema, or damaged: then it is not known after all
        if record.lock is not None and record.lock not in self._kept:
            self._keep_again(combination, record.lock)
        self._records[combination.id].set_result(record)
        self.listener.finished(combination, record, known=True)
        return True

    def _keep(self, lock: Lock) -> None:
        """Put the lock beside the records, once a run; a file that is not that lock any more is replaced."""
        if lock.name in self._kept:
            return
        kept = self.project.locks / lock.name / "pylock.toml"
        if not kept.exists() or kept.read_bytes() != lock.text.encode():
            write_atomically(kept, lock.text, durable=True)
        self._kept.add(lock.name)

    def _keep_again(self, combination: Combination, name: str) -> None:
        """See to it that the lock of a known record is still there and whole, as far as it is remembered."""
        resolution = self.services.resolver.recall(request_of(combination))
        if resolution is not None and resolution.lock is not None and resolution.lock.name == name:
            self._keep(resolution.lock)


def _wants_gpu(verdict: str) -> bool:
    """Whether it ended for want of a GPU."""
    return verdict.startswith(f"{Status.BLOCKED}/") and Verdict.parse(verdict).reason is Reason.DRIVER_OR_GPU

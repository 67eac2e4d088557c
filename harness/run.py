"""Running many combinations: which are known already, which wait for which, and one writer for the results.

Combinations that ask the resolver the same thing share a stack, so they form a group and one worker climbs them one
after another: what they share is found out once, by whoever comes first, and nobody waits.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from harness import __version__
from harness.child import CHILDREN, Cancelled
from harness.durable import digest, digest_of_files, write_atomically
from harness.group import ask_together
from harness.interpreters import NoInterpreter, find_interpreter
from harness.ladder import Climb, Workshop, resolve_request
from harness.machine import machine
from harness.questions import probes_digest
from harness.records import Record
from harness.resolve import ASKING
from harness.rooms import sweep
from harness.verdict import Expectation, Status, Verdict
from harness.weights import Checkpoint, find_checkpoint, folder_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.lock import Lock
    from harness.matrix import Combination
    from harness.models import ModelSpec
    from harness.project import Project
    from harness.records import StageRecord
    from harness.results import Known, ResultStore

LADDER_VERSION = 1
"""Raised when the same events would be judged otherwise, so that what is known is judged again."""


class Listener(Protocol):
    """Hears what happens, from any worker's thread."""

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """A rung was answered."""

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """A combination is done; ``known``: by an earlier run, with nothing to add."""


class _Silence:
    """A listener that says nothing."""

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """Nothing."""

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """Nothing."""


SILENT: Listener = _Silence()


class RunBroken(RuntimeError):  # noqa: N818 - reads as what happened
    """The harness itself cannot go on (a full disk, a folder that cannot be written); the message says why."""


@cache
def catalogue_digest() -> str:
    """Hash of the code and data that judge answers."""
    folder = Path(__file__).with_name("diagnose")
    return digest_of_files(folder, [*folder.glob("*.py"), *folder.glob("*.yaml"), *folder.glob("*.json")])


@dataclass(slots=True)
class Run:
    """One execution of some combinations. Start it once, then ask for records by id."""

    project: Project
    combinations: Sequence[Combination]
    models: Mapping[str, ModelSpec]
    workshop: Workshop
    store: ResultStore
    listener: Listener
    jobs: int
    fresh: bool = False
    _records: dict[str, Future[Record]] = field(default_factory=dict)
    _known: dict[str, Known] = field(default_factory=dict)
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    _groups: queue.SimpleQueue[list[Combination]] = field(default_factory=queue.SimpleQueue)
    _workers: list[threading.Thread] = field(default_factory=list)
    _kept: set[str] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def known_verdicts(self) -> dict[str, str]:
        """What earlier runs reached from the same inputs, by id."""
        self._look_around()
        return {each.id: self._known[each.id].verdict for each in self.combinations if self._is_known(each)}

    def start(self) -> None:
        """Clear up after runs that were killed, settle what is known, and start workers for the rest."""
        for folder in (self.project.scratch, self.project.resolutions / ASKING):
            sweep(folder)
        self._look_around()
        self._records = {each.id: Future() for each in self.combinations}
        groups: dict[str, list[Combination]] = {}
        for combination in self.combinations:
            if not self._settle(combination):
                groups.setdefault(_group(combination), []).append(combination)
        if not groups:
            return
        self.store.write_schema()
        for group in groups.values():
            self._groups.put(group)
        for number in range(min(self.jobs, len(groups))):
            worker = threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            self._workers.append(worker)
            worker.start()

    def record(self, identity: str) -> Record:
        """The record of a combination, once it is there.

        Raises:
            Cancelled: the run was stopped first.
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
        """Kill every child, unless all is done anyway, and wait for the workers; results are on the disk already."""
        self._stopping.set()
        if not self.done():
            CHILDREN.stop()
        for worker in self._workers:
            worker.join(timeout=10)

    def _look_around(self) -> None:
        self._known = self.store.latest()
        self._checkpoints = {
            name: find_checkpoint(self.models[name], self.project.weights)
            for name in {each.model for each in self.combinations}
        }

    def _is_known(self, combination: Combination) -> bool:
        """Whether an earlier run had the same inputs and said something about versions."""
        known = self._known.get(combination.id)
        if known is None or known.is_infra:
            return False
        return known.inputs == self._inputs(combination)

    def _settle(self, combination: Combination) -> bool:
        """Answer from an earlier run, where that is enough."""
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

    def _inputs(self, combination: Combination) -> str:
        """Hash of everything the record depends on; differs as soon as anything could come out otherwise."""
        checkpoint = self._checkpoints[combination.model]
        return digest(
            [
                LADDER_VERSION,
                __version__,
                probes_digest(),
                catalogue_digest(),
                _identity(combination),
                self._lock_name(combination),
                self.models[combination.model].model_dump(mode="json"),
                folder_digest(checkpoint.folder) if checkpoint.folder is not None else checkpoint.missing,
                [machine().gpus, machine().driver],
            ]
        )

    def _lock_name(self, combination: Combination) -> str:
        """The remembered lock, or what stands in its place; never asks uv."""
        if combination.excluded is not None:
            return "excluded"
        try:
            interpreter = find_interpreter(combination.python)
        except NoInterpreter as missing:
            return str(missing)
        resolution = self.workshop.resolver.recall(resolve_request(combination, interpreter))
        if resolution is None:
            return "unresolved"
        return resolution.lock.name if resolution.lock is not None else str(resolution.failure)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                group = self._groups.get_nowait()
            except queue.Empty:
                return
            try:
                ask_together(group, self.models, self._checkpoints, self.workshop)
                for combination in group:
                    self._records[combination.id].set_result(self._climb(combination))
            except OSError as error:
                self._give_up(group, RunBroken(str(error)))
            except Exception as error:  # noqa: BLE001 - a stop or a defect: it reaches whoever asks for the record
                self._give_up(group, error)

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
        resolution = self.workshop.resolver.recall(resolve_request(combination, find_interpreter(combination.python)))
        if resolution is not None and resolution.lock is not None and resolution.lock.name == name:
            self._keep(resolution.lock)

    def _give_up(self, group: Sequence[Combination], error: Exception) -> None:
        for combination in group:
            future = self._records[combination.id]
            if not future.done():
                future.set_exception(error)

    def _climb(self, combination: Combination) -> Record:
        if self._stopping.is_set():
            raise Cancelled
        started = datetime.now(UTC)
        climb = Climb(
            combination,
            self.models[combination.model],
            self._checkpoints[combination.model],
            self.workshop,
            on_stage=lambda stage: self.listener.stage_reached(combination, stage),
        )
        verdict = climb.run()
        lock = climb.lock
        if lock is not None:
            self._keep(lock)
        previous = self._known.get(combination.id)
        record = Record(
            id=combination.id,
            attempt=previous.attempt + 1 if previous is not None else 1,
            axes=combination.axes,
            tags=list(combination.tags),
            verdict=str(verdict),
            expected=str(combination.expect),
            as_expected=as_expected(combination.expect, verdict),
            note=combination.note,
            stages=climb.stages,
            lock=lock.name if lock is not None else None,
            stack=dict(lock.stack) if lock is not None else {},
            differences=dict(self.workshop.environments.differences(lock)) if lock is not None else {},
            machine=machine(),
            command=f"uvx --from . harness run {combination.id} --fresh",
            inputs=self._inputs(combination),
            harness=__version__,
            started=started,
            finished=datetime.now(UTC),
        )
        record = self.store.append(record, unless_known=not self.fresh)
        self.listener.finished(combination, record, known=False)
        return record


def as_expected(expectation: Expectation, verdict: Verdict) -> bool | None:
    """Whether the verdict is what the matrix expects; None when nothing was learned about it.

    A climb that was blocked above the rung on which a failure was expected did learn something: the failure is gone.
    """
    if expectation.met_by(verdict):
        return True
    if verdict.status in {Status.INFRA, Status.SKIPPED}:
        return None
    if verdict.status is Status.BLOCKED:
        awaited, reached = expectation.stage, verdict.stage
        missed = expectation.status is Status.FAIL and awaited and reached and reached.rung > awaited.rung
        return False if missed else None
    return False


def _group(combination: Combination) -> str:
    return digest(
        [
            combination.python,
            sorted(combination.requirements),
            sorted(combination.overrides),
            sorted(combination.allow_source),
            combination.exclude_newer,
            combination.id if combination.excluded is not None else "",
        ]
    )


def _identity(combination: Combination) -> list[object]:
    """What the matrix says of it, its comments to the reader included, since records carry them."""
    return [
        combination.id,
        combination.axes,
        _group(combination),
        combination.options,
        list(combination.tags),
        str(combination.expect),
        combination.note,
        combination.excluded,
        sorted((str(stage), str(limit)) for stage, limit in combination.timeouts.items()),
    ]

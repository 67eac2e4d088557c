"""This machine: threads, each with one piece of work at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.process.child import CHILDREN, Cancelled
from harness.process.probing import sandbox_of_this_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import MachineRecord
    from harness.matrix import Combination
    from harness.pipeline.worker import Worker
    from harness.scheduling.executors.interface import Outlet


_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class LocalExecutor:
    """Up to ``jobs`` combinations at a time, here."""

    jobs: int
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _prepared: deque[Combination] = field(default_factory=deque)
    """What is left to run of stacks that were prepared: on a GPU, boots of one stack run side by side."""
    _preparing: int = 0
    _change: threading.Condition = field(default_factory=threading.Condition)

    def machines(self, combination: Combination) -> Sequence[MachineRecord]:  # noqa: ARG002 - there is only one
        """This one."""
        return (machine(),)

    def start(self, outlet: Outlet, worker: Worker, pieces: int) -> None:
        """Start as many threads as there is work for.

        Raises:
            OSError: it could not be found out whether this host can shut probes in.
        """
        sandbox_of_this_host()
        target = self._work_side_by_side if machine().gpus else self._work
        for number in range(self.jobs if machine().gpus else min(self.jobs, pieces)):
            thread = threading.Thread(target=target, args=(outlet, worker), name=f"worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, *, done: bool) -> None:
        """Kill every child, unless all is done anyway, and wait for the threads."""
        self._stopping.set()
        if not done:
            CHILDREN.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    def _work(self, outlet: Outlet, worker: Worker) -> None:
        while not self._stopping.is_set():
            work = outlet.next_work()
            if work is None:
                return
            try:
                outlet.begun(work)
                worker.prepare(work)
                for combination in work:
                    self._run(combination, outlet, worker)
            except Exception as error:  # noqa: BLE001 - a stop or a defect: it reaches whoever asks for the record
                outlet.failed(work, error)

    def _work_side_by_side(self, outlet: Outlet, worker: Worker) -> None:
        while not self._stopping.is_set():
            combination = self._take()
            if combination is not None:
                try:
                    self._run(combination, outlet, worker)
                except Exception as error:  # noqa: BLE001 - as above
                    outlet.failed([combination], error)
            elif not self._prepare(outlet, worker):
                return

    def _take(self) -> Combination | None:
        """The next combination whose stack is prepared; None when there is none."""
        with self._change:
            return self._prepared.popleft() if self._prepared else None

    def _prepare(self, outlet: Outlet, worker: Worker) -> bool:
        """Prepare one more stack, or wait for those that are being prepared; False when nothing is left."""
        with self._change:
            work = outlet.next_work()
            if work is None:
                self._change.wait_for(lambda: self._prepared or not self._preparing or self._stopping.is_set(), 1.0)
                return bool(self._prepared or self._preparing)
            self._preparing += 1
        try:
            outlet.begun(work)
            worker.prepare(work)
        except Exception as error:  # noqa: BLE001 - as above
            outlet.failed(work, error)
            work = ()
        with self._change:
            self._preparing -= 1
            self._prepared.extend(work)
            self._change.notify_all()
        return True

    def _run(self, combination: Combination, outlet: Outlet, worker: Worker) -> None:
        if self._stopping.is_set() or not outlet.goes_on():
            raise Cancelled
        outlet.begun((combination,))
        outlet.finished(worker.run(combination, partial(outlet.stage_reached, combination)))

"""This machine: threads that climb, each with one piece of work at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.process.child import CHILDREN, Cancelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import MachineRecord
    from harness.matrix import Combination
    from harness.pipeline.worker import Worker
    from harness.scheduling.executors.interface import Outlet, Work


@dataclass(slots=True)
class LocalExecutor:
    """Up to ``jobs`` combinations at a time, here."""

    jobs: int
    _workers: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def machines(self, combination: Combination) -> Sequence[MachineRecord]:  # noqa: ARG002 - there is only one
        """This one."""
        return (machine(),)

    def start(self, outlet: Outlet, guide: Worker, pieces: int) -> None:
        """Start as many workers as there is work for."""
        for number in range(min(self.jobs, pieces)):
            worker = threading.Thread(target=self._work, args=(outlet, guide), name=f"worker-{number}", daemon=True)
            self._workers.append(worker)
            worker.start()

    def stop(self, *, done: bool) -> None:
        """Kill every child, unless all is done anyway, and wait for the workers."""
        self._stopping.set()
        if not done:
            CHILDREN.stop()
        for worker in self._workers:
            worker.join(timeout=10)

    def _work(self, outlet: Outlet, guide: Worker) -> None:
        while not self._stopping.is_set():
            work = outlet.next_work()
            if work is None:
                return
            try:
                self._climb(work, outlet, guide)
            except Exception as error:  # noqa: BLE001 - a stop or a defect: it reaches whoever asks for the record
                outlet.failed(work, error)

    def _climb(self, work: Work, outlet: Outlet, guide: Worker) -> None:
        guide.prepare(work)
        for combination in work:
            if self._stopping.is_set() or not outlet.goes_on():
                raise Cancelled
            outlet.finished(guide.climb(combination, partial(outlet.stage_reached, combination)))

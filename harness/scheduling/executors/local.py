"""This machine: threads, each with one piece of work at a time."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.process.child import CHILDREN, Cancelled
from harness.process.probing import sandbox_of_this_host
from harness.process.sandbox import ENTERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import MachineRecord
    from harness.matrix import Combination
    from harness.pipeline.worker import Worker
    from harness.scheduling.executors.interface import Outlet, Work


_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class LocalExecutor:
    """Up to ``jobs`` combinations at a time, here."""

    jobs: int
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def machines(self, combination: Combination) -> Sequence[MachineRecord]:  # noqa: ARG002 - there is only one
        """This one."""
        return (machine(),)

    def start(self, outlet: Outlet, worker: Worker, pieces: int) -> None:
        """Start as many threads as there is work for.

        Raises:
            OSError: the scratch folder cannot be written.
        """
        sandbox = sandbox_of_this_host(worker.services.check_runner.scratch)
        if sandbox != ENTERED:
            _LOG.warning("probes run without a sandbox (%s): what is tested can do what you can", sandbox)
        for number in range(min(self.jobs, pieces)):
            thread = threading.Thread(target=self._work, args=(outlet, worker), name=f"worker-{number}", daemon=True)
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
                self._run(work, outlet, worker)
            except Exception as error:  # noqa: BLE001 - a stop or a defect: it reaches whoever asks for the record
                outlet.failed(work, error)

    def _run(self, work: Work, outlet: Outlet, worker: Worker) -> None:
        worker.prepare(work)
        for combination in work:
            if self._stopping.is_set() or not outlet.goes_on():
                raise Cancelled
            outlet.finished(worker.run(combination, partial(outlet.stage_reached, combination)))

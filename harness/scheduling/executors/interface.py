"""What a run and an executor are to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import MachineRecord, StageRecord
    from harness.matrix import Combination
    from harness.pipeline.worker import Finished, Worker

Work = tuple["Combination", ...]
"""Combinations that share a stack: one worker runs them, one after another."""


class Outlet(Protocol):
    """The run, as its executor sees it. Everything may be called from any thread."""

    def next_work(self) -> Work | None:
        """What is to be done next; None: nothing more is."""

    def goes_on(self) -> bool:
        """Whether work that was begun may go on with its next combination."""

    def begun(self, work: Sequence[Combination]) -> None:
        """These are under way: a piece of work, then each combination of it that is taken up by itself."""

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """A stage was answered."""

    def finished(self, finished: Finished) -> None:
        """One combination is done.

        Raises:
            OSError: the record could not be written.
        """

    def failed(self, work: Sequence[Combination], error: Exception) -> None:
        """Nothing more will come of these: a stop, or a defect."""


class Executor(Protocol):
    """Has the work done."""

    def machines(self, combination: Combination) -> Sequence[MachineRecord]:
        """The kinds of machine on which the combination may end: what is known of others is not known."""

    def start(self, outlet: Outlet, worker: Worker, pieces: int) -> None:
        """Begin, in threads of its own.

        Args:
            outlet: where work comes from and results go.
            worker: does it, on this machine.
            pieces: how many pieces of work there are.

        Raises:
            RunBroken: it cannot begin; the message says why and what to do.
        """

    def stop(self, *, done: bool) -> None:
        """Leave nothing running. ``done``: every result is there, so nothing has to be killed."""

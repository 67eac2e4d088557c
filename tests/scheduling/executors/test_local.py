"""This machine: one piece of work at a time each thread, and on a GPU the boots of one stack side by side."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from harness.process.sandbox import ENTERED
from harness.scheduling.executors import local


class FakeOutlet:
    """Gives out pieces and keeps what came of them."""

    def __init__(self, *pieces: tuple[str, ...]) -> None:
        self.pieces = list(pieces)
        self.done: list[str] = []
        self.broken: list[str] = []
        self.taken: list[tuple[str, ...]] = []
        self.finished = self.done.append

    def next_work(self) -> tuple[str, ...] | None:
        """The next piece."""
        return self.pieces.pop(0) if self.pieces else None

    def goes_on(self) -> bool:
        """Always."""
        return True

    def begun(self, work: Any) -> None:
        """Keep it."""
        self.taken.append(tuple(work))

    def stage_reached(self, _combination: Any, _stage: Any) -> None:
        """Nothing."""

    def failed(self, work: Any, _error: Exception) -> None:
        """Keep it."""
        self.broken += work


class FakeWorker:
    """Runs two at a time or not at all, where it is told to meet."""

    def __init__(self, meet: int = 1) -> None:
        self.services = SimpleNamespace(check_runner=SimpleNamespace(scratch=None))
        self.meeting = threading.Barrier(meet)

    def prepare(self, group: Any) -> None:
        """One stack cannot be prepared."""
        if "unprepared" in group:
            raise OSError("no")

    def run(self, combination: str, _on_stage: Any) -> str:
        """Wait for the others."""
        if combination == "broken":
            raise OSError("no")
        self.meeting.wait(10)
        return combination


@pytest.fixture(params=[("a GPU",), ()], ids=["gpu", "cpu"])
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setattr(local, "machine", lambda: SimpleNamespace(gpus=request.param))
    monkeypatch.setattr(local, "sandbox_of_this_host", lambda: ENTERED)
    found: tuple[str, ...] = request.param
    return found


def run(outlet: Any, worker: Any, jobs: int, pieces: int) -> None:
    executor = local.LocalExecutor(jobs)
    executor.start(outlet, worker, pieces)
    for thread in executor._threads:
        thread.join(20)
    executor.stop(done=True)


def test_everything_is_done_once_and_what_fails_takes_nothing_with_it(gpus: tuple[str, ...]) -> None:
    outlet = FakeOutlet(("a", "b"), ("unprepared", "c"), ("d",), ("broken",))
    run(outlet, FakeWorker(), 3, 4)
    assert (sorted(outlet.done), sorted(outlet.broken)) == (["a", "b", "d"], ["broken", "c", "unprepared"]), gpus
    assert {("a", "b"), ("a",), ("b",), ("unprepared", "c"), ("d",)} <= {*outlet.taken}
    assert ("c",) not in outlet.taken


def test_boots_of_one_stack_run_side_by_side_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "machine", lambda: SimpleNamespace(gpus=("a GPU",)))
    monkeypatch.setattr(local, "sandbox_of_this_host", lambda: ENTERED)
    outlet = FakeOutlet(("a", "b", "c"))
    run(outlet, FakeWorker(meet=3), 3, 1)
    assert sorted(outlet.done) == ["a", "b", "c"]

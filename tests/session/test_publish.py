"""The report during a run: rendered beside it, by one thread, and never so often that it slows the run down."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import pytest

from harness.results.store import ResultStore
from harness.session import publish
from harness.session.publish import Publisher
from tests.report.samples import grid

if TYPE_CHECKING:
    from pathlib import Path


class Slow(Publisher):
    """Renders for as long as it is told to."""

    def hold(self) -> None:
        """Wait in a rendering until it may go on."""
        self.begun, self.go_on, self.renderings = threading.Event(), threading.Event(), 0
        self.trouble: Exception | None = None

    def _write(self) -> Path:
        self.renderings += 1
        self.begun.set()
        assert self.go_on.wait(10)
        if self.trouble is not None:
            raise self.trouble
        return self.page


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr(publish, "INTERVAL", 0.0)
    publisher = Slow(ResultStore(tmp_path))
    publisher.hold()
    return publisher


def test_nobody_waits_for_a_rendering_and_there_is_one_at_a_time(slow: Slow) -> None:
    for _ in range(5):
        slow.note_result()
    assert slow.begun.wait(10)
    assert slow.renderings == 1
    slow.go_on.set()
    slow.settle()
    slow.note_result()
    slow.settle()
    assert slow.renderings == 1  # it rests for many times as long as the first one took
    slow.publish()
    assert slow.renderings == 2


def test_a_report_that_cannot_be_written_is_told_with_the_next_result(slow: Slow) -> None:
    slow.trouble = OSError("no space left on device")
    slow.go_on.set()
    slow.note_result()
    slow.settle()
    with pytest.raises(OSError, match="no space left"):
        slow.note_result()


def test_a_record_that_is_held_is_not_made_twice(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    held = [store.append(each) for each in grid(20)]
    assert all(one is other for one, other in zip(held, store.attempts(), strict=True))
    assert all(one is other for one, other in zip(held, store.records(), strict=True))
    same = [each.model_dump_json() for each in held]
    del held
    gc.collect()
    assert [each.model_dump_json() for each in store.attempts()] == same
    assert [each.model_dump_json() for each in ResultStore(tmp_path).attempts()] == same

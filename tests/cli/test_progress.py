"""What a run tells while it goes on, and why it learned nothing of some."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from harness.cli.progress import Progress, RunDisplay
from harness.cli.run_output import print_summary
from harness.core.records import StageRecord
from harness.core.verdict import Stage
from tests.incidents.samples import record_of
from tests.scheduling.samples import combination

if TYPE_CHECKING:
    import pytest

ONE, TWO, THREE, FOUR = (combination(f"4.{number}.0") for number in range(4))
NO_GPU = "blocked/boot/driver-or-gpu-unavailable"
NO_NETWORK = "infra/install/hub-network"


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def passed(stage: Stage) -> StageRecord:
    return StageRecord(stage=stage, verdict="pass", seconds=1, checks=[])


def test_what_both_workers_do_and_for_how_long() -> None:
    clock = Clock()
    progress = Progress(4, clock=clock)
    progress.begin([ONE, TWO])
    clock.now += 130
    progress.begin([THREE])
    progress.begin([ONE])
    progress.reach(ONE.id, passed(Stage.IMPORT))
    clock.now += 5
    assert progress.running() == [f"    2m  {ONE.id}  after import", f"    5s  {THREE.id}  resolve, install, import"]
    progress.end(record_of(ONE, "pass"), known=False)
    progress.begin([TWO])
    assert [line.split()[1] for line in progress.running()] == [THREE.id, TWO.id]


def test_combinations_that_share_a_stack_begin_as_one() -> None:
    clock = Clock()
    progress = Progress(4, clock=clock)
    progress.begin([ONE, TWO, THREE])
    assert progress.running() == [f"    0s  {ONE.id} and 2 more of its stack  resolve, install, import"]


def test_done_failed_left_and_a_time_to_the_end() -> None:
    clock = Clock()
    left_out = combination("4.9.0")
    progress = Progress(5, excluded=1, clock=clock)
    progress.end(record_of(FOUR, "pass"), known=True)
    progress.begin([ONE, TWO])
    progress.end(record_of(left_out, "skipped/resolve/excluded(so it is)"), known=False)
    assert progress.counts() == "2 of 5 done (1 pass, 1 skipped, 1 of them known), 3 left"  # nothing shows a pace yet
    clock.now += 300
    progress.end(record_of(ONE, "fail/import/unknown"), known=False)
    told = "3 of 5 done (1 pass, 1 fail, 1 skipped, 1 of them known), 2 left, about 10m to the end"
    assert progress.counts() == told


def test_where_nobody_watches_silence_is_broken_now_and_then() -> None:
    out = io.StringIO()
    display = RunDisplay(Console(file=out, width=200), Progress(4), told_elsewhere=True, beat=0.01)
    display.begun([ONE])
    with display:
        while out.getvalue().count("\n") < 2:
            pass
    told = out.getvalue().splitlines()
    assert told[0] == "0 of 4 done, 4 left"
    assert told[1].split() == ["0s", ONE.id, "resolve,", "install,", "import"]
    with display:  # nox looks at it once for each session
        display.finished(ONE, record_of(ONE, "pass"), known=False)
    assert f"[1/4] {ONE.id}" not in out.getvalue()


def test_a_terminal_shows_it_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    display = RunDisplay(console, Progress(4))
    display.begun([ONE])
    with display:
        display.finished(TWO, record_of(TWO, "pass"), known=False)
    shown = out.getvalue()
    assert "0 of 4 done" in shown
    assert f"0s  {ONE.id}  resolve" in shown
    assert f"[1/4] {TWO.id}  pass" in shown


def test_why_nothing_was_learned_is_told_once_for_each_reason() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200)
    records = [record_of(each, NO_GPU) for each in (ONE, TWO)] + [record_of(THREE, NO_NETWORK)]
    print_summary(console, records, None)
    assert f"2 {NO_GPU}: it says so\n1 {NO_NETWORK}: it says so\n" in out.getvalue()
    display = RunDisplay(console, Progress(1))
    display.finished(THREE, records[-1], known=False)
    assert out.getvalue().endswith("it says so\n")  # trouble is worth knowing at once

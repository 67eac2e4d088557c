"""What a baseline demands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.core.records import CheckRecord, StageRecord
from harness.core.verdict import Stage, Status
from harness.gate.baseline import Baseline, Must, accept
from tests.incidents.samples import record_of
from tests.scheduling.samples import combination

if TYPE_CHECKING:
    from harness.core.records import Record

ONE = combination("4.57.3")


def test_the_highest_demand_counts() -> None:
    known = Baseline(version=1, must=(Must(match="a*", stage=Stage.IMPORT), Must(match="ab", stage=Stage.BOOT)))
    assert known.must_reach("ab") is Stage.BOOT
    assert known.must_reach("ac") is Stage.IMPORT
    assert known.must_reach("x") is None


def measured(seconds: float, *, cpu: str, day: int, verdict: str = "pass") -> Record:
    check = CheckRecord(
        name="boot", outcome=Status.PASS, key="", seconds=1, facts={"see": {"total_seconds": [9.0, seconds]}}
    )
    record = record_of(ONE, verdict)
    return record.model_copy(
        update={
            "stages": [StageRecord(stage=Stage.SEE, verdict="pass", seconds=1, checks=[check])],
            "machine": record.machine.model_copy(update={"cpu": cpu}),
            "started": datetime(2026, 11, day, tzinfo=UTC),
            "lock": "lock",
        }
    )


def test_another_machine_changes_verdicts_and_no_timings() -> None:
    first = accept([ONE], {ONE.id: [measured(0.5, cpu="one", day=1)]}, None)
    assert first.combinations[ONE.id].samples == {"see s": (0.5,)}
    elsewhere = measured(0.7, cpu="two", day=1)
    assert accept([ONE], {ONE.id: [elsewhere]}, first) == first
    assert accept([ONE], {ONE.id: [elsewhere]}, first, measured=True).combinations[ONE.id].samples == {"see s": (0.7,)}
    here = accept([ONE], {ONE.id: [measured(0.6, cpu="one", day=1)]}, first)
    assert here.combinations[ONE.id].samples == {"see s": (0.6,)}
    failing = measured(0.7, cpu="two", day=1, verdict="fail/see/wrong-answer")
    assert accept([ONE], {ONE.id: [failing]}, first).combinations[ONE.id].samples == {"see s": (0.7,)}


def test_the_same_run_accepted_again_is_the_same_file() -> None:
    runs = {ONE.id: [measured(0.5, cpu="one", day=1)]}
    first = accept([ONE], runs, None)
    assert (first.accepted, first.combinations[ONE.id].day) == ("2026-11-01", None)
    assert accept([ONE], runs, first) == first
    other = combination("5.0.0")
    later = record_of(other, "pass").model_copy(update={"lock": "b", "started": datetime(2026, 11, 3, tzinfo=UTC)})
    both = accept([other], {other.id: [later]}, first)
    assert (both.accepted, both.combinations[other.id].day) == ("2026-11-03", None)
    assert str(both.combinations[ONE.id].day) == "2026-11-01"

"""What was emulated says so wherever a verdict is read: terminal, report, Markdown, gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cli.run_output import verdict_text
from harness.core.comparison import Change
from harness.core.records import StageRecord
from harness.core.verdict import Stage, Verdict
from harness.gate.baseline import Accepted, Baseline
from harness.gate.candidates import Candidate
from harness.gate.judge import count, decide, judge
from harness.gate.markdown import SUMMARY_BYTES, markdown
from harness.gate.outcome import GateOutcome, GatePlan
from harness.report import build_context, render_markdown
from harness.report.render import place
from tests.report.samples import START
from tests.report.samples import record_of as sample

if TYPE_CHECKING:
    from harness.core.records import Record

AXES = {"python": "3.11", "lmdeploy": "0.18.0", "transformers": "5.17.0", "backend": "pytorch", "model": "canary"}
NO_GPU = "blocked/boot/driver-or-gpu-unavailable"
WRONG = "fail/emulate/wrong-answer"


def record_of(verdict: str, *stages: str) -> Record:
    """A record with stages of these verdicts."""
    made = [StageRecord(stage=Verdict.parse(each).stage or Stage.BOOT, verdict=each, seconds=1.0) for each in stages]
    return sample(AXES).model_copy(update={"verdict": verdict, "stages": made})


@pytest.mark.parametrize(
    ("verdict", "stages", "words"),
    [
        (NO_GPU, ["pass/preprocess", "pass/emulate"], "(emulated: pass)"),
        (WRONG, ["pass/preprocess", WRONG], "(emulated)"),
        ("pass", ["pass/preprocess", "pass/boot"], ""),
    ],
)
def test_the_terminal_says_it(verdict: str, stages: list[str], words: str) -> None:
    text = verdict_text(record_of(verdict, *stages))
    assert (words in text) if words else ("emulated" not in text)


def test_the_report_and_its_markdown_say_it() -> None:
    context = build_context([record_of(NO_GPU, "pass/import", "pass/emulate", NO_GPU)], generated=START)
    shown = context.answers[0].shown
    assert shown is not None
    assert shown.text.startswith("Emulated on a CPU")
    assert place(context.combinations[0]) == "emulated"
    assert "◐ emulated" in render_markdown(context)


@pytest.mark.parametrize(
    ("verdict", "status", "change"), [(NO_GPU, "pass", Change.SAME), (WRONG, "fail", Change.REGRESSED)]
)
def test_the_gate_says_it(verdict: str, status: str, change: Change) -> None:
    record = record_of(verdict, "pass/preprocess", f"{status}/emulate" if status == "pass" else verdict)
    baseline = Baseline(version=1, combinations={record.id: Accepted(verdict=NO_GPU, asks="")})
    row = judge(Candidate(record.id, None), [record], baseline)
    assert (row.change, row.emulated) == (change, status)
    code, decision = decide([row])
    assert ("emulated on the CPU, which says nothing of a GPU" in decision) is (change is Change.SAME)
    outcome = GateOutcome(
        bump="transformers 5.17.0",
        baseline=baseline.label,
        harness="0",
        finished="2026-01-01",
        plan=GatePlan(digest="", combinations=[]),
        decision=decision,
        exit_code=code,
        counts=count([row]),
        rows=[row],
        causes=[],
    )
    assert f"emulated: {status}" in markdown(outcome, SUMMARY_BYTES, every=True).replace("\\", "")

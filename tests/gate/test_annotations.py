"""Annotations of a pull request."""

from __future__ import annotations

from harness.core.comparison import Change
from harness.gate.annotations import workflow_commands
from tests.gate.samples import cause, outcome, row


def test_annotations_are_for_causes_and_bounded() -> None:
    lines = list(workflow_commands(outcome([row(1, Change.REGRESSED)], [cause(number) for number in range(30)])))
    assert len(lines) == 10
    assert all(line.startswith("::error file=requirements.txt,line=3,title=") and "\n" not in line for line in lines)
    assert "Title%2C 0%3A with 100%25" in lines[0]

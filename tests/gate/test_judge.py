"""From rows to one exit code."""

from __future__ import annotations

from harness.core.comparison import Change
from harness.core.verdict import Stage
from harness.gate.judge import decide
from tests.gate.samples import row


def test_exit_codes_have_one_order() -> None:
    infra, bad = row(1, Change.INFRASTRUCTURE), row(2, Change.REGRESSED)
    outstanding = row(3, Change.NOT_TESTED, must=Stage.STRUCTURE)
    assert [int(decide(rows)[0]) for rows in ([], [row(0)], [infra, bad], [infra, outstanding], [outstanding])] == [
        3,
        0,
        1,
        4,
        5,
    ]
    assert int(decide([row(4, must=Stage.IMPORT, must_met=False)])[0]) == 1

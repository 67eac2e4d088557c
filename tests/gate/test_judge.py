"""From rows to one exit code."""

from __future__ import annotations

import pytest

from harness.core.comparison import Change
from harness.core.verdict import Stage, Verdict
from harness.gate.baseline import Accepted, Baseline, Must
from harness.gate.candidates import Candidate
from harness.gate.judge import decide, judge
from tests.gate.samples import row
from tests.gate.test_stacks import ONE
from tests.report.samples import record_of
from tests.report.troubles import BEAM_SEARCH


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


def test_what_is_not_understood_is_never_a_green_end() -> None:
    place = "Dockerfile:1: FROM python:3.12"
    assert decide([], [place]) == (5, f"Left untested, because it is not understood: {place}")
    assert int(decide([row(1)], [place])[0]) == 5
    assert int(decide([row(1, Change.REGRESSED)], [place])[0]) == 1
    assert decide([], ["a", "b", "c", "d"])[1].endswith("a; b; c; …")


@pytest.mark.parametrize(
    ("control", "change"),
    [
        (None, Change.REGRESSED),
        ("pass", Change.REGRESSED),
        ("fail/import/crash", Change.STALE),
        ("fail/boot/crash", Change.REGRESSED),  # it got further than with the change
        ("infra/install/hub-network", Change.INFRASTRUCTURE),
    ],
)
def test_a_change_is_blamed_only_for_what_does_not_happen_without_it(control: str | None, change: Change) -> None:
    axes = {"python": "3.11", "lmdeploy": "0.11.1", "transformers": "4.57.3", "backend": "pytorch", "model": "canary"}
    failed = record_of(axes, BEAM_SEARCH)
    baseline = Baseline(version=1, must=(Must(match="one"),), combinations={"one": Accepted(verdict="pass", asks="x")})
    told = judge(Candidate("one", ONE), [failed], baseline, Verdict.parse(control) if control else None)
    assert (told.change, told.control) == (change, control)
    assert told.must_met is (None if change in {Change.STALE, Change.INFRASTRUCTURE} else False)

"""When the stack without the change is run as well."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from harness.gate import trial
from harness.gate.baseline import Accepted, Baseline
from harness.gate.candidates import Candidate
from harness.scheduling.run import SILENT
from tests.gate.test_stacks import ONE
from tests.report.samples import record_of

AXES = {"python": "3.11", "lmdeploy": "0.11.1", "transformers": "4.57.3", "backend": "pytorch", "model": "canary"}


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        ("pass", "fail/import/crash", ["one"]),
        ("pass", "pass", []),
        ("fail/import/crash", "fail/import/crash", []),
        ("pass", "fail/resolve/resolver-conflict", []),
    ],
)
def test_only_what_regressed_after_it_resolved_is_run_without_the_change(
    before: str, after: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run_all(_: object, chosen: list[Any], *__: object, **___: object) -> list[Any]:
        ran.extend(each.id for each in chosen)
        return [record_of(AXES) for _ in chosen]

    monkeypatch.setattr(trial, "run_all", run_all)
    baseline = Baseline(version=1, combinations={"one": Accepted(verdict=before, asks="x")})
    record = record_of(AXES).model_copy(update={"verdict": after})
    found = trial.run_controls(
        object(),  # type: ignore[arg-type]
        [Candidate("one", ONE, control=ONE)],
        {"one": [record]},
        baseline,
        display=lambda _: nullcontext(SILENT),
    )
    assert ran == asked
    assert [(name, str(verdict)) for name, verdict in found.items()] == [(name, "pass") for name in asked]

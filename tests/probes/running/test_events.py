"""What a probe says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.probes.running.events import Events, Failed, jsonable
from tests.probes.samples import results, written


def test_facts_are_strict_json() -> None:
    value = {"nan": float("nan"), "set": {"b", "a"}, "text": "\udcff", 1: (2.5, None, True), "path": Path("x")}
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == {
        "nan": "nan",
        "set": ["a", "b"],
        "text": "\\udcff",
        "1": [2.5, None, True],
        "path": "x",
    }


def test_what_goes_deep_and_numbers_that_others_cannot_hold_are_kept_as_text() -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    assert json.dumps(jsonable(deep)).startswith("[" * 20 + '"')
    assert jsonable([2**63 - 1, -(2**63)]) == [2**63 - 1, str(-(2**63))]


def test_after_a_line_that_the_disk_cut_there_is_no_other(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(OSError, match="No space"):
        events.fact("x", 1)
    monkeypatch.undo()
    events.fact("y", 2)
    assert Path(events.path).read_text() == '{"event": '


def test_the_first_answer_of_a_stage_is_the_one(events: Events) -> None:
    with events.answering("import"):
        raise ValueError("the cause")
    events.result("import", "pass")
    assert results(events) == [("import", "fail", None)]


def test_a_check_that_knows_its_reason_says_so(events: Events) -> None:
    with events.answering("configure"):
        raise Failed("as told", "backend-substituted") from KeyError("why")
    (result,) = written(events)
    assert (result["message"], result["reason"], result["exception"]["type"]) == (
        "as told",
        "backend-substituted",
        "KeyError",
    )

"""What a probe says of itself."""

from __future__ import annotations

import json
from pathlib import Path

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

"""What a child wrote counts as far as a probe could have written it, and otherwise makes a crash of its check."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.core.verdict import Reason, Stage, Status
from harness.engines.check import TWO_PASS, Check
from harness.pipeline.events import read_report
from harness.process.child import MAX_EVENT_BYTES, ChildReport

CHECK = Check("a-check", (Stage.IMPORT,), "engines.imports:engine_modules")
END = {"event": "end"}


def start(check: str = "a-check") -> dict[str, Any]:
    return {"event": "start", "check": check, "pid": 1, "python": "3.11"}


def fact(name: str, value: Any) -> dict[str, Any]:
    return {"event": "fact", "name": name, "value": value}


def result(stage: str = "import", outcome: str = "pass", **more: Any) -> dict[str, Any]:
    said = {"event": "result", "stage": stage, "outcome": outcome, "message": "", "reason": None, "exception": None}
    return {**said, "seconds": 0.5, **more}


def lines(*events: dict[str, Any] | str | bytes) -> bytes:
    texts = [each if isinstance(each, str | bytes) else json.dumps(each) for each in events]
    return b"".join((each if isinstance(each, bytes) else each.encode()) + b"\n" for each in texts)


def report(events: bytes, **more: Any) -> ChildReport:
    return ChildReport("exited", 0, 1.0, 2.0, 0, "the log", events, **more)


def read(*events: dict[str, Any] | str | bytes) -> tuple[Status, Reason | None, str]:
    (stage,) = read_report("key", CHECK, report(lines(*events))).stages
    assert stage.stage is Stage.IMPORT
    return stage.outcome, stage.reason, stage.message


def test_a_probe_s_events_are_its_result_with_the_facts_around_it() -> None:
    events = lines(
        start(), fact("x", {"y": [1, 2.5, None]}), {"event": "progress", "text": "…"}, result(), fact("z", 1)
    )
    found = read_report("key", CHECK, report(events + lines(END), sandbox="namespaces"))
    assert found.stages[0].outcome is Status.PASS
    assert found.stages[0].facts == {"x": {"y": [1, 2.5, None]}, "z": 1, "sandbox": "namespaces"}
    assert (found.key, found.check, found.seconds, found.final) == ("key", "a-check", 1.0, True)


def test_a_failure_keeps_its_exception_and_hides_its_secrets() -> None:
    exception: dict[str, Any] = {
        "type": "ImportError",
        "message": "token hf_abcdefghijklmnopqrstu",
        "frames": [],
        "cause": None,
    }
    events = lines(start(), result(outcome="fail", exception=exception), END)
    (stage,) = read_report("key", CHECK, report(events)).stages
    assert stage.exception is not None
    assert stage.exception.message == "token [redacted]"


def test_a_line_that_was_being_written_when_the_child_died_is_left_out() -> None:
    found = read_report("key", CHECK, report(lines(start()) + json.dumps(result()).encode()))
    assert (found.stages[0].outcome, found.stages[0].message) == (Status.FAIL, "ended with 0 and no record")


def test_stages_after_the_first_that_does_not_pass_are_not_reached() -> None:
    events = lines(start("two-pass"), result("boot"), result("see", "fail", reason="wrong-answer"), END)
    found = read_report("key", TWO_PASS, report(events))
    assert [(each.stage, each.outcome) for each in found.stages] == [
        (Stage.BOOT, Status.PASS),
        (Stage.SEE, Status.FAIL),
    ]


def test_a_child_that_ends_between_two_stages_is_answered_for_the_next_alone() -> None:
    found = read_report("key", TWO_PASS, report(lines(start("two-pass"), result("boot"))))
    assert [(each.stage, each.outcome) for each in found.stages] == [
        (Stage.BOOT, Status.PASS),
        (Stage.SEE, Status.FAIL),
    ]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (result("boot"), "a result of boot, which is not the next stage"),
        (result(), "a result of import, which is not the next stage"),
        (result("made-up"), "stage"),
        (fact("sandbox", "namespaces"), "only the harness itself knows the fact sandbox"),
        (fact("x", float("nan")), "nan is not a number"),
        (fact("x", float("-inf")), "-inf is not a number"),
        ('{"event": "fact", "name": "x", "value": [1e999]}', "inf is not a number"),
        (fact("x", 2**63), "beyond all bounds"),
        (fact("x", json.loads("[" * 40 + "]" * 40)), "in each other"),
        ('{"event": "fact", "name": "x", "value": ' + "[" * 100_000, "recursion"),
        ('{"event": "fact", "name": "x", "value": "\\ud800"}', ""),
        ({"event": "fact", "name": [], "value": 1}, "name"),
        ({**fact("x", 1), "more": 1}, "more"),
        ({"event": "made-up"}, "made-up"),
        ("[]", ""),
        ("", "line 3"),
        (b"\xff", ""),
        (start(), "begin twice"),
        (END, "they go on after their end"),
        ("x" * MAX_EVENT_BYTES, "more than 2 MiB"),
    ],
)
def test_events_that_no_probe_writes_are_no_pass(spoilt: Any, said: str) -> None:
    outcome, reason, message = read(start(), result(), spoilt, fact("y", 1), END)
    assert (outcome, reason) == (Status.FAIL, Reason.CRASH)
    assert message.startswith("its events are not what a probe writes: ")
    assert said in message


@pytest.mark.parametrize(
    "more",
    [
        {"reason": "unknown"},
        {"exception": {"type": "X", "message": ""}},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": "1"},
        {"outcome": "fail", "reason": "hub-network"},
        {"outcome": "fail", "reason": "crash"},
        {"outcome": "fail", "reason": "made-up"},
        {"outcome": "PASS"},
        {"outcome": "infra"},
        {"outcome": "skipped", "reason": "excluded"},
        {"message": None},
    ],
)
def test_results_that_contradict_themselves_or_say_what_is_not_a_probe_s_to_say_are_none(more: dict[str, Any]) -> None:
    outcome, reason, _ = read(start(), result(**more), END)
    assert (outcome, reason) == (Status.FAIL, Reason.CRASH)


def test_events_of_another_check_or_without_a_beginning_are_none() -> None:
    assert read(start("another"), result(), END)[1] is Reason.CRASH
    assert read(result(), END)[1] is Reason.CRASH


def test_a_pass_that_this_machine_cannot_give_is_none() -> None:
    events = lines(start("two-pass"), result("boot"), result("see"), result("structure"), END)
    found = read_report("key", TWO_PASS, report(events), impossible=TWO_PASS.stages)
    assert [(each.stage, each.outcome, each.reason) for each in found.stages] == [
        (Stage.BOOT, Status.FAIL, Reason.CRASH)
    ]
    blocked = lines(start("two-pass"), result("boot", "blocked", reason="driver-or-gpu-unavailable"), END)
    assert read_report("key", TWO_PASS, report(blocked), impossible=TWO_PASS.stages).stages[0].outcome is Status.BLOCKED


@pytest.mark.parametrize(
    ("number", "status"),
    [
        *((number, Status.INFRA) for number in (1, 2, 3, 9, 15, 24, 30)),
        *((number, Status.FAIL) for number in (4, 6, 7, 8, 11, 31)),
    ],
)
def test_a_signal_from_outside_blames_no_version(number: int, status: Status) -> None:
    found = read_report("key", CHECK, replace(report(lines(start())), exit_code=-number))
    assert (found.stages[0].outcome, found.final) == (status, status is Status.FAIL)


def test_a_failure_on_a_full_disk_says_nothing_of_versions() -> None:
    failed = lines(start(), result(outcome="fail"), END)
    found = read_report("key", CHECK, replace(report(failed), end="disk"))
    assert (found.stages[0].outcome, found.final) == (Status.INFRA, False)
    passed = read_report("key", CHECK, replace(report(lines(start(), result(), END)), end="disk"))
    assert passed.stages[0].outcome is Status.PASS


def test_nothing_counts_of_a_batch_whose_own_events_are_none() -> None:
    found = read_report("key", CHECK, report(lines(start(), result(), END), spoilt="line 1 of the batch's"))
    assert found.stages[0].reason is Reason.CRASH

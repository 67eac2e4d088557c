"""What counts as a right answer."""

from __future__ import annotations

import pytest

from harness.probes.smoke.judge import json_object, judge, repeated_unit


@pytest.mark.parametrize(
    ("answers", "kind", "expected", "verdict"),
    [
        (["red blue", "red blue"], "exact", "red blue", ""),
        ([" red blue\n", " red blue\n"], "exact", "red blue", ""),
        (["Red blue", "Red blue"], "exact", "red blue", "wrong"),
        (["It is RED and blue."] * 2, "contains", ["red", "blue"], ""),
        (["It is red."] * 2, "contains", ["red", "blue"], "wrong"),
        (["It is red."] * 2, "contains", "red", ""),
        (['{"a": "Red "}'] * 2, "json", {"a": "red"}, ""),
        (['Sure:\n```json\n{"a": "red"}\n```'] * 2, "json", {"a": "red"}, ""),
        (['{"a": "red", "b": 1}'] * 2, "json", {"a": "red"}, "wrong"),
        (["a: red"] * 2, "json", {"a": "red"}, "wrong"),
        (["!!!"] * 2, "any", None, ""),
        (["!!!", "!?!"], "any", None, "not-reproducible"),
        (["\n\n", "\n\n"], "any", None, ""),
        (["", ""], "any", None, "empty"),
        (["", ""], "exact", "red", "empty"),
        (["\n\n  ", "\n\n  "], "exact", "red", "empty"),
        (["red", "blue"], "exact", "red", "not-reproducible"),
        (["!" * 30] * 2, "exact", "red", "repeating"),
        (["It is red, " + "red, " * 12] * 2, "exact", "red", "repeating"),
        (["haha" * 6] * 2, "exact", "haha" * 6, ""),
    ],
)
def test_judging(answers: list[str], kind: str, expected: object, verdict: str) -> None:
    judged = judge(answers, kind, expected)
    assert (judged.kind, judged.right) == (verdict, not verdict)
    assert bool(judged.message) is bool(verdict)


def test_nan_outranks_a_right_answer() -> None:
    assert judge(["red", "red"], "exact", "red", nan=True).kind == "nan"


@pytest.mark.parametrize(("answers", "kind"), [(["red"], "guess"), ([], "exact")])
def test_what_cannot_be_judged_is_refused(answers: list[str], kind: str) -> None:
    with pytest.raises(ValueError, match=r"unknown judge|no answer"):
        judge(answers, kind, "red")


def test_the_first_whole_object_counts() -> None:
    assert json_object('{not json} then {"a": {"b": 1}} and {"c": 2}') == {"a": {"b": 1}}
    assert repeated_unit("top left red, top right blue") is None

"""Verdicts: closed sets, one string form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.verdict import Expectation, Reason, Stage, Status, Verdict
from harness.pipeline.worker import as_expected

non_pass = st.builds(
    Verdict,
    st.sampled_from([each for each in Status if each is not Status.PASS]),
    st.sampled_from(list(Stage)),
    st.sampled_from(list(Reason)),
    st.text(max_size=80),
)


@given(non_pass)
def test_the_string_form_parses_back(verdict: Verdict) -> None:
    assert Verdict.parse(str(verdict)) == verdict


@pytest.mark.parametrize("text", ["pass", "pass/boot", "blocked/boot/driver-or-gpu-unavailable"])
def test_short_forms_parse_back(text: str) -> None:
    assert str(Verdict.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("broken/import/crash", "status"),
        ("fail/lunch/crash", "stage"),
        ("fail/import/bad-luck", "reason"),
        ("fail", "needs a reason"),
        ("pass/boot/crash", "takes no reason"),
        ("", "write e.g."),
        ("fail/import/crash(", "write e.g."),
    ],
)
def test_what_is_not_a_verdict_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Verdict.parse(text)


@given(non_pass)
def test_an_expectation_may_stop_early(verdict: Verdict) -> None:
    full = str(verdict)
    assert Expectation.parse(full).met_by(verdict)
    for parts in (1, 2, 3):
        cut = "/".join(full.split("(", maxsplit=1)[0].split("/")[:parts])
        assert Expectation.parse(cut).met_by(verdict)


@pytest.mark.parametrize(
    ("expected", "verdict", "answer"),
    [
        ("pass", "pass", True),
        ("pass", "fail/import/crash", False),
        ("pass", "blocked/boot/driver-or-gpu-unavailable", None),
        ("pass", "infra/install/hub-network", None),
        ("pass", "skipped/resolve/excluded(why)", None),
        ("fail", "fail/import/crash(SIGSEGV)", True),
        ("fail/import", "fail/boot/crash", False),
        ("fail/import/crash", "pass", False),
        ("fail/import", "blocked/boot/driver-or-gpu-unavailable", False),
        ("fail/boot", "blocked/boot/driver-or-gpu-unavailable", None),
        ("blocked", "blocked/boot/driver-or-gpu-unavailable", True),
    ],
)
def test_what_was_learned_about_an_expectation(expected: str, verdict: str, answer: bool | None) -> None:
    assert as_expected(Expectation.parse(expected), Verdict.parse(verdict)) is answer


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\x9b", "\x9d", "\u202e", "\u2066", "\u2028", "\x7f", "\r"])
def test_a_detail_holds_nothing_that_a_terminal_obeys(sign: str) -> None:
    verdict = Verdict(Status.FAIL, Stage.IMPORT, Reason.CRASH, f"a{sign}[31mb")
    assert verdict.detail == "a [31mb"
    assert Verdict.parse(str(verdict)) == verdict

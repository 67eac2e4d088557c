"""Both passes, asked of any engine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from harness.probes.engines import two_pass
from harness.probes.smoke import kept
from harness.probes.smoke.question import Question, Reply
from tests.probes.samples import SMOKE, request_for, results, written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.probes.running.events import Events
    from harness.probes.running.request import Request


@dataclass
class FakeEngine:
    """Answers from a list; remembers what it was asked."""

    answers: Sequence[str | Exception]
    asked: list[Question] = field(default_factory=list)
    closed: bool = False

    def ask(self, question: Question) -> Reply:
        """Give the next answer."""
        self.asked.append(question)
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, prompt_tokens=5, new_tokens=2, first_token_seconds=0.5)

    def close(self) -> None:
        """Remember it."""
        self.closed = True


@pytest.fixture
def run_two_pass(events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(engine: FakeEngine | Exception, backend: str = "transformers") -> None:
        def boot(_request: Request, _events: Events) -> FakeEngine:
            if isinstance(engine, Exception):
                raise engine
            return engine

        monkeypatch.setattr(two_pass, "boot", boot)
        two_pass.two_pass(request_for(tmp_path, backend), events)

    return run


def test_both_passes_are_asked_twice_and_the_second_without_an_image(
    events: Events, run_two_pass: Callable[[FakeEngine], None]
) -> None:
    engine = FakeEngine(["red blue", "red blue", '{"a": "red"}', '{"a": "red"}'])
    run_two_pass(engine)
    assert results(events) == [("boot", "pass", None), ("see", "pass", None), ("structure", "pass", None)]
    assert [question.text for question in engine.asked] == ["What?", "What?", *["JSON of red blue"] * 2]
    assert [question.image is not None for question in engine.asked] == [True, True, False, False]
    assert [question.max_new_tokens for question in engine.asked] == [8, 8, 9, 9]
    assert engine.asked[0].image.getpixel((0, 0)) == (255, 0, 0)
    assert engine.closed
    facts = {event["name"]: event["value"] for event in written(events) if event["event"] == "fact"}
    assert facts["see"]["answers"] == ["red blue", "red blue"]
    assert facts["see"]["first_token_seconds"] == [0.5, 0.5]
    assert (facts["structure"]["prompt_tokens"], facts["structure"]["new_tokens"]) == (5, [2, 2])


def test_an_engine_is_asked_once_cold_and_five_times_warm(events: Events, run_two_pass: Callable[..., None]) -> None:
    answers: list[str | Exception] = [*["red blue"] * 6, *['{"a": "red"}'] * 6]
    engine = FakeEngine(answers)
    run_two_pass(engine, "turbomind")
    assert results(events) == [("boot", "pass", None), ("see", "pass", None), ("structure", "pass", None)]
    assert [question.image is not None for question in engine.asked] == [True] * 6 + [False] * 6


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["blue red", "blue red"], [("see", "fail", "wrong-answer")]),
        (["red blue", "red"], [("see", "fail", "wrong-answer")]),
        ([RuntimeError("engine died")], [("see", "fail", None)]),
        (["red blue", "red blue", "{}", "{}"], [("see", "pass", None), ("structure", "fail", "wrong-answer")]),
    ],
)
def test_the_climb_ends_with_the_first_wrong_answer(
    events: Events,
    run_two_pass: Callable[[FakeEngine], None],
    answers: Sequence[str | Exception],
    expected: list[tuple[str, str, str | None]],
) -> None:
    engine = FakeEngine(answers)
    run_two_pass(engine)
    assert results(events) == [("boot", "pass", None), *expected]
    assert engine.closed


def test_a_boot_that_fails_answers_only_for_itself(events: Events, run_two_pass: Callable[[Exception], None]) -> None:
    run_two_pass(OSError("no config.json"))
    assert results(events) == [("boot", "fail", None)]


def test_an_engine_that_shows_its_numbers_is_judged_by_them_when_both_passes_are_answered(
    events: Events, run_two_pass: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Measured(FakeEngine):
        logits = encode = go_on = None

    def numbers(engine: FakeEngine, folder: str) -> dict[str, object]:
        assert (len(engine.asked), folder) == (4, str(tmp_path))
        return {"wrong": ["logits 636 times as far from the kept reference"]}

    for name in ("see", "structure"):
        monkeypatch.setitem(SMOKE, name, {**SMOKE[name], "judge": "logits"})
    monkeypatch.setattr(kept, "is_kept", lambda _folder: True)
    monkeypatch.setattr(kept, "numbers", numbers)
    run_two_pass(Measured(["a", "a", "b", "b"]))
    assert results(events)[-1] == ("structure", "fail", "wrong-answer")
    assert "636 times" in json.dumps(written(events))

"""The smoke test's parts: judging answers, asking both passes, and lmdeploy's pipeline of any version."""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.engines import boot_lmdeploy, boot_transformers, two_pass
from harness.probes.running import background
from harness.probes.running.events import Events, Failed
from harness.probes.smoke.judge import json_object, judge, repeated_unit
from harness.probes.smoke.question import Question, Reply, smoke_image
from tests.probes.probing import install, request_for, results, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.probes.running.request import Request


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(str(tmp_path / "events.jsonl"))


# --- judging ---------------------------------------------------------------------------------------------------------


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


# --- the two passes --------------------------------------------------------------------------------------------------


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


def test_an_unknown_image_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown smoke image pattern 'stars'"):
        smoke_image({"pattern": "stars", "size": 4, "colours": []})


def test_the_first_token_is_the_second_put() -> None:
    clock = boot_transformers.FirstTokenClock()
    clock.put("prompt")
    assert clock.first is None
    clock.put("token")
    first = clock.first
    clock.put("token")
    assert first is not None
    assert clock.first == first


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match=r"options\.dtype is 'int4'"):
        boot_transformers.cast(None, "int4")


# --- lmdeploy's pipeline ---------------------------------------------------------------------------------------------


@dataclass
class Part:
    """One piece of a streamed answer."""

    text: str
    finish_reason: str | None = None
    input_token_len: int = 7
    generate_token_len: int = 1
    error_message: str | None = None


@dataclass
class GenerationConfig:
    """An older version's settings: not all names exist."""

    max_new_tokens: int
    do_sample: bool = True


class FakePipeline:
    """A pipeline of made-up streams."""

    def __init__(self, stream: Callable[[], Iterator[Part]]) -> None:
        self.stream = stream
        self.settings: GenerationConfig | None = None
        self.messages: list[dict[str, Any]] = []

    def stream_infer(self, messages: list[dict[str, Any]], gen_config: GenerationConfig) -> Iterator[Part]:
        """Give the stream."""
        self.messages, self.settings = messages, gen_config
        return self.stream()


@pytest.fixture
def ask_lmdeploy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reply]:
    install(monkeypatch, "lmdeploy", GenerationConfig=GenerationConfig)
    monkeypatch.setattr(boot_lmdeploy, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(boot_lmdeploy, "POLL_SECONDS", 0.01)

    def ask(stream: Callable[[], Iterator[Part]], limit: float = 20.0) -> Reply:
        return boot_lmdeploy.LmdeployEngine(FakePipeline(stream), limit).ask(Question("hi", 8))

    return ask


def test_a_streamed_answer_is_put_together(ask_lmdeploy: Callable[..., Reply]) -> None:
    reply = ask_lmdeploy(lambda: iter([Part(""), Part("red "), Part("blue", "stop", generate_token_len=3)]))
    assert (reply.text, reply.prompt_tokens, reply.new_tokens) == ("red blue", 7, 3)
    assert reply.first_token_seconds is not None
    assert reply.facts == {"finish_reason": "stop"}


def test_requests_come_from_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "lmdeploy", GenerationConfig=GenerationConfig)
    threads: set[int] = set()

    def stream() -> Iterator[Part]:
        threads.add(threading.get_ident())
        yield Part("red", "stop")

    engine = boot_lmdeploy.LmdeployEngine(FakePipeline(stream), 20.0)
    for _ in range(3):
        assert engine.ask(Question("hi", 8)).text == "red"
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_settings_are_greedy_in_names_the_version_has(ask_lmdeploy: Callable[..., Reply]) -> None:
    assert ask_lmdeploy is not None
    assert boot_lmdeploy.generation_settings(8) == GenerationConfig(max_new_tokens=8, do_sample=False)


def test_an_answer_that_is_an_error_is_raised(ask_lmdeploy: Callable[..., Reply]) -> None:
    with pytest.raises(RuntimeError, match="answered with an error: internal error happened"):
        ask_lmdeploy(lambda: iter([Part("internal error happened", "error")]))


def test_what_the_call_raises_gets_out(ask_lmdeploy: Callable[..., Reply]) -> None:
    def stream() -> Iterator[Part]:
        raise KeyError("multimodal")
        yield

    with pytest.raises(KeyError, match="multimodal"):
        ask_lmdeploy(stream)


def test_a_request_that_dies_behind_its_caller_is_told_with_its_cause(
    ask_lmdeploy: Callable[..., Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = logging.getLogRecordFactory()
    monkeypatch.setattr(logging, "_logRecordFactory", factory)  # put back by monkeypatch
    background.watch_logging()
    never: queue.SimpleQueue[None] = queue.SimpleQueue()

    def stream() -> Iterator[Part]:
        future: Future[None] = Future()
        future.add_done_callback(lambda done: done.result())
        future.set_exception(AttributeError("'NoneType' object has no attribute 'split'"))
        never.get()
        yield Part("never")

    with pytest.raises(RuntimeError, match="behind its caller") as caught:
        ask_lmdeploy(stream)
    assert "'split'" in str(caught.value.__cause__)
    never.put(None)


def test_an_answer_that_never_comes_is_a_timeout(ask_lmdeploy: Callable[..., Reply]) -> None:
    never: queue.SimpleQueue[None] = queue.SimpleQueue()

    def stream() -> Iterator[Part]:
        never.get()
        yield Part("never")

    with pytest.raises(Failed, match=r"no answer within 0\.1 s") as caught:
        ask_lmdeploy(stream, 0.1)
    assert caught.value.reason == "timeout"
    never.put(None)


def test_what_ends_a_thread_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _ended: None)
    background.watch_threads()
    before = background.FAILURES.count
    thread = threading.Thread(target=[].pop)
    thread.start()
    thread.join()
    assert background.FAILURES.count == before + 1
    assert isinstance(background.FAILURES.last, IndexError)


@dataclass
class PytorchEngineConfig:
    """A version's engine settings."""

    session_len: int | None = None
    eager_mode: bool = False


def test_options_go_into_the_settings_that_the_version_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "lmdeploy", PytorchEngineConfig=PytorchEngineConfig)
    request = request_for(tmp_path)
    request.options.update(eager_mode=True, cache_max_entry_count=0.05, threads=2)
    settings, used = boot_lmdeploy.engine_settings(request)
    assert settings == PytorchEngineConfig(eager_mode=True)
    assert used == {"eager_mode": True}


@pytest.mark.parametrize("newer", [False, True])
def test_the_running_engine_is_read_from_the_engine_object(*, newer: bool) -> None:
    engine = type("TurboMind", (), {"__module__": "lmdeploy.turbomind.turbomind"})()
    holder = SimpleNamespace(engine=engine, backend="pytorch")
    pipeline = SimpleNamespace(async_engine=holder) if newer else holder
    assert boot_lmdeploy.running_engine(pipeline) == ("turbomind", "lmdeploy.turbomind.turbomind.TurboMind")


def test_an_engine_that_was_not_asked_for_fails(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = type("Engine", (), {"__module__": "lmdeploy.pytorch.engine.engine"})()
    pipeline = SimpleNamespace(engine=engine, close=lambda: None)
    install(monkeypatch, "lmdeploy", TurbomindEngineConfig=PytorchEngineConfig, pipeline=lambda *_, **__: pipeline)
    install(monkeypatch, "torch", cuda=SimpleNamespace(get_device_name=lambda _: "card", mem_get_info=lambda _: (1, 3)))
    monkeypatch.setattr(boot_lmdeploy, "driver_present", lambda: True)
    monkeypatch.setattr(boot_lmdeploy, "named_folder", lambda request, _: request.model.folder)
    two_pass.two_pass(request_for(tmp_path, "turbomind"), events)
    assert results(events) == [("boot", "fail", "backend-substituted")]


def test_an_engine_without_a_driver_blocks(events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_lmdeploy, "driver_present", lambda: False)
    two_pass.two_pass(request_for(tmp_path), events)
    assert results(events) == [("boot", "blocked", "driver-or-gpu-unavailable")]

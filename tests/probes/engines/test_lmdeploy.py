"""lmdeploy's pipeline of any version."""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.engines import lmdeploy, two_pass
from harness.probes.running import background
from harness.probes.running.events import Events, Failed
from harness.probes.smoke.question import Question, Reply
from tests.probes.samples import install, request_for, results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    monkeypatch.setattr(lmdeploy, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(lmdeploy, "POLL_SECONDS", 0.01)

    def ask(stream: Callable[[], Iterator[Part]], limit: float = 20.0) -> Reply:
        return lmdeploy.LmdeployEngine(FakePipeline(stream), limit).ask(Question("hi", 8))

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

    engine = lmdeploy.LmdeployEngine(FakePipeline(stream), 20.0)
    for _ in range(3):
        assert engine.ask(Question("hi", 8)).text == "red"
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_settings_are_greedy_in_names_the_version_has(ask_lmdeploy: Callable[..., Reply]) -> None:
    assert ask_lmdeploy is not None
    assert lmdeploy.generation_settings(8) == GenerationConfig(max_new_tokens=8, do_sample=False)


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


@dataclass
class PytorchEngineConfig:
    """A version's engine settings."""

    session_len: int | None = None
    eager_mode: bool = False


@pytest.mark.parametrize("newer", [False, True])
def test_the_running_engine_is_read_from_the_engine_object(*, newer: bool) -> None:
    engine = type("TurboMind", (), {"__module__": "lmdeploy.turbomind.turbomind"})()
    holder = SimpleNamespace(engine=engine, backend="pytorch")
    pipeline = SimpleNamespace(async_engine=holder) if newer else holder
    assert lmdeploy.running_engine(pipeline) == ("turbomind", "lmdeploy.turbomind.turbomind.TurboMind")


def test_an_engine_that_was_not_asked_for_fails(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = type("Engine", (), {"__module__": "lmdeploy.pytorch.engine.engine"})()
    pipeline = SimpleNamespace(engine=engine, close=lambda: None)
    install(monkeypatch, "lmdeploy", TurbomindEngineConfig=PytorchEngineConfig, pipeline=lambda *_, **__: pipeline)
    install(monkeypatch, "torch", cuda=SimpleNamespace(get_device_name=lambda _: "card", mem_get_info=lambda _: (1, 3)))
    monkeypatch.setattr(lmdeploy, "driver_present", lambda: True)
    monkeypatch.setattr(lmdeploy, "named_folder", lambda request, _: request.model.folder)
    two_pass.two_pass(request_for(tmp_path, "turbomind"), events)
    assert results(events) == [("boot", "fail", "backend-substituted")]


def test_an_engine_without_a_driver_blocks(events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdeploy, "driver_present", lambda: False)
    two_pass.two_pass(request_for(tmp_path), events)
    assert results(events) == [("boot", "blocked", "driver-or-gpu-unavailable")]


def test_a_socket_of_ray_has_room_for_its_name_in_a_deep_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    deep = tmp_path.joinpath(*["a-folder-of-a-probe"] * 5)
    deep.mkdir(parents=True)
    lmdeploy.shorten_ray_folder(str(deep))
    place = Path(os.environ["RAY_TMPDIR"], "ray", "session_2026-11-27_21-20-48_121517_3246800", "sockets")
    place.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(place / "plasma_store"))
    assert [each.name for each in deep.rglob("plasma_store")] == ["plasma_store"]

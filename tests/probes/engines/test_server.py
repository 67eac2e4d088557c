"""Servers that misbehave: the probe of ``api_server`` asked against miniature servers, without a GPU or lmdeploy."""

from __future__ import annotations

import subprocess
import sys
import time
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from harness.probes.engines import server as servers
from harness.probes.engines.server import Server, chat_messages, free_port, listening, wait_until_up
from harness.probes.running.events import Events, Failed
from harness.probes.smoke.question import Question
from tests.probes.samples import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVER = """
    import http.server, json, os, signal, sys, time
    behaviour, port = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as servers do; a test run in the background ignores it
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_): pass
        def do_GET(self):
            body = json.dumps({"data": [{"id": "mini"}]}).encode()
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body)
        def event(self, content):
            self.wfile.write(b"data: " + json.dumps(content).encode() + b"\\n\\n"); self.wfile.flush()
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if behaviour == "refuses":
                self.send_response(400); self.end_headers(); self.wfile.write(b"no images here"); return
            self.send_response(200); self.end_headers()
            self.event({"choices": [{"delta": {"role": "assistant"}}]})
            self.event({"choices": [{"delta": {"content": "red "}}]})
            if behaviour == "hangs": time.sleep(60)
            if behaviour == "dies": os._exit(9)
            if behaviour == "cuts": return
            kinds = [part["type"] for part in asked["messages"][0]["content"]]
            self.event({"choices": [{"delta": {"content": " ".join(kinds)}, "finish_reason": "stop"}]})
            self.event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
            self.wfile.write(b"data: [DONE]\\n\\n")
    if behaviour == "stays": signal.signal(signal.SIGINT, signal.SIG_IGN)
    if behaviour == "never": sys.exit(3)
    if behaviour == "silent": time.sleep(60)
    try:
        http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(str(tmp_path / "events.jsonl"))


@pytest.fixture
def serve(events: Events) -> Iterator[Callable[..., Server]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(behaviour: str, seconds: float = 10.0) -> Server:
        port = free_port()
        process = subprocess.Popen([sys.executable, "-c", dedent(SERVER), behaviour, str(port)], start_new_session=True)
        started.append(process)
        return Server(process, port, wait_until_up(process, port, events), events, seconds)

    yield start
    for process in started:
        process.kill()
        process.wait()


def shutdown(events: Events) -> dict[str, object]:
    (fact,) = [each["value"] for each in written(events) if each.get("name") == "shutdown"]
    return dict(fact)


def test_an_answer_is_put_together_and_timed(serve: Callable[..., Server], events: Events) -> None:
    server = serve("good")
    reply = server.ask(Question("What?", 8))
    assert (reply.text, reply.prompt_tokens, reply.new_tokens) == ("red text", 7, 2)
    assert reply.first_token_seconds is not None
    assert reply.facts == {"finish_reason": "stop"}
    server.close()
    told = shutdown(events)
    assert told["how"] == "by itself, on SIGINT"
    assert (told["port_free"], told["processes_left"]) == (True, 0)


def test_the_image_goes_before_the_text() -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    (message,) = chat_messages(Question("What?", 8, image))
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]
    assert message["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_refused_request_tells_what_the_server_said(serve: Callable[..., Server]) -> None:
    with pytest.raises(RuntimeError, match="the server answered 400: no images here"):
        serve("refuses").ask(Question("What?", 8))


def test_an_answer_that_never_ends_is_a_timeout(serve: Callable[..., Server]) -> None:
    with pytest.raises(Failed, match="no answer within 1 s") as failure:
        serve("hangs", seconds=1.0).ask(Question("What?", 8))
    assert failure.value.reason == "timeout"


def test_a_server_that_dies_in_the_middle_of_an_answer(serve: Callable[..., Server]) -> None:
    with pytest.raises(RuntimeError, match="the request broke off: the server ended with 9"):
        serve("dies").ask(Question("What?", 8))


def test_half_an_answer_is_none(serve: Callable[..., Server]) -> None:
    with pytest.raises(RuntimeError, match="the stream ended before the answer did"):
        serve("cuts").ask(Question("What?", 8))


def test_a_server_that_stays_is_killed_and_that_is_told(
    serve: Callable[..., Server], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "STOPPING_SECONDS", 1.0)
    server = serve("stays")
    server.close()
    told = shutdown(events)
    assert told["how"] == "killed: still there 1 s after SIGINT"
    assert (told["port_free"], told["processes_left"]) == (True, 0)
    assert not listening(server.port)


def test_a_server_that_ends_before_it_answers(serve: Callable[..., Server]) -> None:
    with pytest.raises(RuntimeError, match="the server ended with 3 before it answered"):
        serve("never")


def test_a_server_that_does_not_come_up(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "STARTING_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(Failed, match="did not answer within 1 s") as failure:
        serve("silent")
    assert failure.value.reason == "timeout"
    assert time.monotonic() > started

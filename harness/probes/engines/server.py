"""``lmdeploy serve api_server`` as a user starts it, asked over HTTP.

The server is a process of its own on a free port. It counts as up when ``/v1/models`` answers, is asked through the
OpenAI-compatible route with the image as a data URL, and has to end when it is told to: what is left is told.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

from ..running.events import Events, Failed
from ..smoke.question import Question, Reply
from .imports import versions
from .lmdeploy import ANSWER_SECONDS, require_driver, shorten_ray_folder
from .model_folder import named_folder
from .preprocess import data_url
from .settings import engine_settings, flags

if TYPE_CHECKING:
    from ..running.request import Request

HOST = "127.0.0.1"
TELLING_SECONDS = 20.0
POLL_SECONDS = 0.25
STARTING_SECONDS = 900.0
STOPPING_SECONDS = 30.0


class Server:
    """A running server, as an engine of the smoke test."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, model: str, events: Events, seconds: float
    ) -> None:
        self.process = process
        self.port = port
        self.model = model
        self._events = events
        self._seconds = seconds

    def ask(self, question: Question) -> Reply:
        """Answer greedily, streamed, so that the first token can be timed.

        Raises:
            RuntimeError: the server answered with an error, ended, or broke the stream off.
            Failed: no answer in time.
        """
        body = {
            "model": self.model,
            "messages": chat_messages(question),
            "max_tokens": question.max_new_tokens,
            "temperature": 1.0,
            "top_k": 1,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        started = time.perf_counter()
        first: Optional[float] = None
        parts: List[str] = []
        usage: Dict[str, Any] = {}
        finish: Optional[str] = None
        try:
            for event in self._stream("/v1/chat/completions", body):
                usage = event.get("usage") or usage
                for choice in event.get("choices") or []:
                    text = (choice.get("delta") or {}).get("content") or ""
                    if text and first is None:
                        first = time.perf_counter() - started
                    parts.append(text)
                    finish = choice.get("finish_reason") or finish
        except TimeoutError:
            raise Failed(f"no answer within {self._seconds:g} s", "timeout") from None
        except (OSError, http.client.HTTPException) as error:
            raise RuntimeError(f"the request broke off: {self._end() or f'{type(error).__name__}: {error}'}") from error
        if finish is None:
            raise RuntimeError(f"the request broke off: {self._end() or 'the stream ended before the answer did'}")
        return Reply(
            text="".join(parts),
            prompt_tokens=usage.get("prompt_tokens"),
            new_tokens=usage.get("completion_tokens"),
            first_token_seconds=first,
            facts={"finish_reason": finish},
        )

    def close(self) -> None:
        """End the server as a user would, and tell how it went; facts: how, seconds, exit status."""
        started = time.perf_counter()
        self.process.send_signal(signal.SIGINT)
        how = "by itself, on SIGINT"
        try:
            self.process.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            how = f"killed: still there {STOPPING_SECONDS:g} s after SIGINT"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._events.fact(
            "shutdown",
            {
                "how": how,
                "seconds": round(time.perf_counter() - started, 3),
                "exit": self.process.returncode,
                "port_free": not listening(self.port),
                "processes_left": group_members(self.process.pid),
            },
        )

    def _end(self) -> str:
        """How the server's process ended, empty while it lives; it may take a moment to be seen."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"the server ended with {self.process.wait(1.0)}"
        return ""

    def _stream(self, path: str, body: Dict[str, Any]) -> "Iterator[Dict[str, Any]]":
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            answer = urllib.request.urlopen(request, timeout=self._seconds)  # noqa: S310 - same
        except urllib.error.HTTPError as error:
            raise RuntimeError(
                f"the server answered {error.code}: {error.read(2000).decode('utf-8', 'replace')}"
            ) from None
        with answer:
            for line in answer:
                data = line.decode("utf-8").strip()
                if not data.startswith("data:"):
                    continue
                data = data[5:].strip()
                if data == "[DONE]":
                    return
                yield json.loads(data)


def boot(request: Request, events: Events) -> Server:
    """Start the server and wait until it answers; facts: command, seconds, the engine that really runs.

    Raises:
        Blocked: this machine has no driver.
        Failed: it ended instead, did not come up in time, or runs another engine than the one asked for.
    """
    require_driver()
    events.fact("versions", versions())
    folder = named_folder(request, events)
    shorten_ray_folder(request.scratch)
    _, used = engine_settings(request)
    port = free_port()
    told = os.path.join(request.scratch, "engine.json")
    arguments = ["serve", "api_server", folder, "--backend", request.backend]
    arguments += ["--server-name", HOST, "--server-port", str(port)]
    arguments += flags(used)
    shown = ["lmdeploy", *("MODEL" if part == folder else part for part in arguments)]
    events.fact("command", shown)
    events.progress("starting the server")
    started = time.perf_counter()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "serve_watched.py")
    process = subprocess.Popen([sys.executable, script, told, *arguments], start_new_session=True)
    try:
        model = wait_until_up(process, port, events)
        actual = engine_told(told)
        seconds = float(request.options.get("answer_seconds", ANSWER_SECONDS))
        events.fact(
            "boot",
            {
                "load_seconds": round(time.perf_counter() - started, 3),
                "requested": request.backend,
                **actual,
                "settings": used,
                "launch": "server",
            },
        )
        if actual["backend"] != request.backend:
            raise Failed(
                f"asked for {request.backend}, got {actual['backend']} ({actual['engine']})", "backend-substituted"
            )
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    return Server(process, port, model, events, seconds)


def wait_until_up(process: "subprocess.Popen[bytes]", port: int, events: Events) -> str:
    """The name of the model that the server serves, once it answers.

    Raises:
        Failed: it ended or did not answer in time.
    """
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/v1/models", timeout=5) as answer:
                return str(json.load(answer)["data"][0]["id"])
        except (OSError, ValueError, http.client.HTTPException):
            time.sleep(POLL_SECONDS)  # not up yet
    events.progress("the server did not answer")
    raise Failed(f"the server did not answer within {STARTING_SECONDS:g} s", "timeout")


def engine_told(path: str) -> Dict[str, str]:
    """What the server's process says of its engine."""
    with open(path + ".asked", "w", encoding="utf-8"):
        pass
    deadline = time.monotonic() + TELLING_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            return dict(json.load(file))
        time.sleep(POLL_SECONDS)
    return {"backend": "unknown", "engine": "unknown"}


def chat_messages(question: Question) -> List[Dict[str, Any]]:
    """The question as an OpenAI chat, the image first and as a data URL."""
    content: List[Dict[str, Any]] = []
    if question.image is not None:
        content.append({"type": "image_url", "image_url": {"url": data_url(question.image)}})
    content.append({"type": "text", "text": question.text})
    return [{"role": "user", "content": content}]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def group_members(group: int) -> int:
    """Processes that are left of a process group, zombies not counted."""
    found = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stream:
                    fields = stream.read().rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] != "Z":
                    found += 1
    return found

"""The network: a package index that misbehaves, served from this machine."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.chaos.disk import project_of
from tests.chaos.ground import orphans, scratch_left
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chaos.registry import Setting, Tally

MATRIX_WORD = "7.0"
PACKAGE = "transformers"
"""The package about which the index misbehaves."""
OFFLINE = "http://127.0.0.1:1/simple"
"""An index that uv is not allowed to ask."""
TIMEOUTS = "timeouts: {resolve: {wall: 15s}}\n"
"""Five minutes are right for a slow index, and too long for a suite."""
FOR_A_WHILE = 2
"""Requests that fail before the index comes to its senses, where it does."""


class Misbehaving(ThreadingHTTPServer):
    """A simple index of a folder of wheels; ``mode`` says how it treats requests about one package."""

    daemon_threads = True

    def __init__(self, wheels: Path, mode: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.wheels, self.mode = wheels, mode
        self.asked: Counter[str] = Counter()
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some modes are about."""


class _Answers(BaseHTTPRequestHandler):
    server: Misbehaving
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Silence."""

    def do_HEAD(self) -> None:
        """What uv asks first of a wheel; the index behaves until the wheel itself is wanted."""
        body, kind = self._content(unquote(self.path))
        self._start(200 if body else 404, kind, len(body))

    def do_GET(self) -> None:
        """Behave or not, as the mode says."""
        path = unquote(self.path)
        if self.server.mode == "private" and path.startswith("/simple") and not self.headers.get("Authorization"):
            self._send(401, b"who are you?", "text/plain")
            return
        self.server.asked[path] += 1
        mode = self.server.mode
        body, kind = self._content(path)
        troubled = PACKAGE in path
        if troubled and (not mode.startswith("passing") or self.server.asked[path] <= FOR_A_WHILE):
            if self._misbehaves(mode.removeprefix("passing "), body):
                return
            if mode == "truncated" and path.endswith(".whl"):
                self._send(200, body[: len(body) // 2], kind, length=len(body))
                self.close_connection = True
                return
        self._send(200 if body else 404, body, kind)

    def _misbehaves(self, mode: str, body: bytes) -> bool:
        """CheckResult in that way, if it is one that concerns every request."""
        if mode.isdigit():
            self._send(int(mode), b"no", "text/plain", retry_after=mode == "429")
        elif mode == "stall":
            self.server.over.wait(30)
        elif mode == "drip":
            self._start(200, "text/html", len(body))
            with suppress(OSError):  # whoever asked has had enough
                for number in range(len(body)):
                    if self.server.over.wait(0.3):
                        break
                    self.wfile.write(body[number : number + 1])
        elif mode == "hangs up":
            self.close_connection = True
        else:
            return False
        return True

    def _content(self, path: str) -> tuple[bytes, str]:
        name = path.strip("/").rpartition("/")[2]
        if path.endswith(".whl"):
            file = self.server.wheels / name
            return (file.read_bytes() if file.exists() else b""), "application/octet-stream"
        links = [
            f'<a href="/files/{each.name}#sha256={self._announced(each)}">{each.name}</a><br>'
            for each in sorted(self.server.wheels.glob(f"{name.replace('-', '_')}-*.whl"))
        ]
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>" if links else ""
        return page.encode(), "text/html"

    def _announced(self, wheel: Path) -> str:
        if self.server.mode == "wrong hash" and PACKAGE in wheel.name:
            return "0" * 64
        return hashlib.sha256(wheel.read_bytes()).hexdigest()

    def _send(
        self, status: int, body: bytes, kind: str, *, length: int | None = None, retry_after: bool = False
    ) -> None:
        self._start(status, kind, len(body) if length is None else length, retry_after=retry_after)
        self.wfile.write(body)

    def _start(self, status: int, kind: str, length: int, *, retry_after: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if retry_after:
            self.send_header("Retry-After", "1")
        self.end_headers()


@contextmanager
def index(setting: Setting, mode: str) -> Iterator[Misbehaving]:
    """The index, for as long as the block lasts."""
    server = Misbehaving(setting.ground.index / "wheels", mode)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _run(setting: Setting, tally: Tally, url: str, right: tuple[str, ...]) -> tuple[str, float]:
    """One combination from that index; the message that goes with its verdict, and the seconds it took."""
    ground = setting.ground
    project = project_of(ground)
    with project.matrix.open("a") as matrix:
        matrix.write(TIMEOUTS)
    config = ground.new_folder("uv").with_suffix(".toml")
    config.write_text(f'[[index]]\nurl = "{url}"\ndefault = true\n')
    cache = ground.new_folder("cache")
    started = time.monotonic()
    offline = "1" if url == OFFLINE else "0"
    variables = {"UV_CONFIG_FILE": str(config), "UV_CACHE_DIR": str(cache), "UV_OFFLINE": offline}
    ground.extra = {**variables, "UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "2"}
    ended = ground.harness(project, "run", "-k", MATRIX_WORD)
    ground.extra = {}
    seconds = time.monotonic() - started
    tally.tracebacks += ended.traceback
    tally.orphans += orphans() + scratch_left(project)
    records = ground.records(project)
    expect(len(records) == 1, f"{len(records)} records, exit {ended.code}: {ended.err[-300:]}")
    verdict = records[0].verdict
    expect(verdict.startswith(right), f"the verdict is {verdict}, not {' or '.join(right)}")
    code = {"pass": 0, "fail": 1}.get(verdict.partition("/")[0], 4)
    expect(ended.code == code, f"{verdict} ended with {ended.code}")
    message = " ".join(check.log_tail for each in records[0].stages for check in each.checks)
    ground.clear(project)
    return message, seconds


INFRA = ("infra/resolve/", "infra/install/")
MODES: dict[str, tuple[str, tuple[str, ...]]] = {
    "429": ("answers 429 with Retry-After, for ever", INFRA),
    "500": ("answers 500, for ever", INFRA),
    "503": ("answers 503, for ever", INFRA),
    "stall": ("takes the request and says nothing", INFRA),
    "hangs up": ("hangs up without an answer", INFRA),
    "truncated": ("breaks off in the middle of a wheel", INFRA),
    "wrong hash": ("announces another hash than the wheel has", INFRA),
    "401": ("answers 401, for ever", INFRA),
    "403": ("answers 403, for ever", INFRA),
    "drip": ("sends a byte every 0.3 s", INFRA),
    "passing 429": ("answers 429 with Retry-After twice, then as it should", ("pass",)),
    "passing 500": ("answers 500 twice, then as it should", ("pass",)),
    "passing hangs up": ("hangs up twice, then answers as it should", ("pass",)),
    "404": ("knows nothing of a package (404): that is an answer", ("fail/resolve/",)),
}


def _register(mode: str, what: str, right: tuple[str, ...]) -> None:
    @fault("network", mode.replace(" ", "-"), f"the index {what}")
    def scenario(setting: Setting, tally: Tally) -> None:
        with tally.injection(mode), index(setting, mode) as server:
            url = f"http://127.0.0.1:{server.server_port}/simple"
            message, seconds = _run(setting, tally, url, right)
            expect(server.asked, "the index was never asked")
            expect(mode != "wrong hash" or "hash" in message.lower(), f"no word of a hash: {message[:300]}")
            most = max(count for path, count in server.asked.items() if PACKAGE in path)
            tally.figures.append(f"asked {most} times, {seconds:.1f} s in all")


for _mode, (_what, _right) in MODES.items():
    _register(_mode, _what, _right)


@fault("network", "tls", "the index speaks no TLS where TLS is asked for")
def tls(setting: Setting, tally: Tally) -> None:
    """Never a fall-back to plain text."""
    with tally.injection("tls"), index(setting, "good") as server:
        _run(setting, tally, f"https://127.0.0.1:{server.server_port}/simple", INFRA)
        expect(not server.asked, "it was asked in plain text")


@fault("network", "dns", "the index's name does not resolve; nobody listens at its address; uv is set offline")
def dns(setting: Setting, tally: Tally) -> None:
    """Trouble of this machine's, not of any version."""
    for url in ("http://no-such-host.invalid/simple", "http://127.0.0.1:9/simple", OFFLINE):
        with tally.injection(url):
            _run(setting, tally, url, INFRA)

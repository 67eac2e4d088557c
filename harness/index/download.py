"""Fetching: pages of the index, and single stretches of large files."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
import stamina

from harness.index.releases import IndexUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ATTEMPTS = 4
_SECONDS = 60.0
_NOT_FOUND = 404
_PARTIAL = 206
_TOO_MANY, _SERVER_ERRORS = 429, 500
_CONNECTIONS = 16
"""Requests at a time: enough to hide the waiting, which is most of what a request takes."""
_AHEAD = 96
"""Stretches fetched before they are asked for; most are a table of contents, well under a megabyte."""


class NotThere(IndexUnavailable):
    """The server answered that there is no such file or page."""


class _Fleeting(Exception):  # noqa: N818 - private, and worth another attempt
    """A request failed in a way that may pass."""


@dataclass(slots=True)
class Traffic:
    """What was fetched, for the benchmark and for politeness."""

    requests: int = 0
    bytes: int = 0

    def add(self, other: Traffic) -> None:
        """Count what another process fetched."""
        self.requests += other.requests
        self.bytes += other.bytes


@dataclass(slots=True)
class Downloads:
    """One pool of a few connections."""

    traffic: Traffic = field(default_factory=Traffic)
    _client: httpx.Client | None = None
    _pool: ThreadPoolExecutor | None = None
    _whole: dict[str, bytes] = field(default_factory=dict)
    """Files whose server gives no ranges, or lying in this machine's folders: the last one."""
    _ahead: dict[tuple[str, int, int], Future[bytes]] = field(default_factory=dict)
    _pages: dict[str, Future[bytes]] = field(default_factory=dict)
    """Pages and metadata that are being fetched before they are asked for."""
    _lock: Lock = field(default_factory=Lock)

    def page(self, url: str, accept: str) -> bytes:
        """A page of the index.

        Raises:
            IndexUnavailable: it cannot be had.
        """
        folder = _local(url)
        if folder is not None:
            return _read_local(folder / "index.json")
        waiting = self._pages.pop(url, None)
        return self._get(url, {"Accept": accept}).content if waiting is None else waiting.result()

    def look_ahead_page(self, url: str, accept: str) -> None:
        """Begin to fetch what :meth:`page` will be asked for soon."""
        if _local(url) is None and url not in self._pages:
            self._pages[url] = self._threads().submit(lambda: self._get(url, {"Accept": accept}).content)

    def part(self, url: str, start: int, end: int) -> bytes:
        """The bytes ``start`` up to, not including, ``end`` of a file.

        Raises:
            IndexUnavailable: they cannot be had.
        """
        waiting = self._ahead.pop((url, start, end), None)
        if waiting is not None:
            return waiting.result()
        if url in self._whole:
            return self._whole[url][start:end]
        path = _local(url)
        if path is not None:
            self._whole = {url: _read_local(path)}
            return self._whole[url][start:end]
        return self._now(url, start, end)

    def parts(self, url: str, stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several stretches of one file, a few at a time.

        Raises:
            IndexUnavailable: one of them cannot be had.
        """
        if len(stretches) > 1 and url not in self._whole and _local(url) is None:
            for start, end in stretches:
                self._begin(url, start, end)
        return [self.part(url, start, end) for start, end in stretches]

    def look_ahead(self, url: str, start: int, end: int) -> None:
        """Begin to fetch a stretch that :meth:`part` will be asked for soon."""
        if _local(url) is None and url not in self._whole and len(self._ahead) < _AHEAD:
            self._begin(url, start, end)

    def _begin(self, url: str, start: int, end: int) -> None:
        if (url, start, end) not in self._ahead:
            self._ahead[url, start, end] = self._threads().submit(self._now, url, start, end)

    def size(self, url: str) -> int:
        """How long a file is, in bytes.

        Raises:
            IndexUnavailable: the server does not say.
        """
        path = _local(url)
        if path is not None:
            return len(self.part(url, 0, 0)) or len(self._whole[url])
        response = self._get(url, {}, method="HEAD")
        length = response.headers.get("content-length")
        if length is None:
            raise IndexUnavailable(f"{_shown(url)} does not tell its size")
        return int(length)

    def _now(self, url: str, start: int, end: int) -> bytes:
        response = self._get(url, {"Range": f"bytes={start}-{end - 1}"})
        if response.status_code == _PARTIAL:
            return response.content
        self._whole = {url: response.content}  # the server ignores ranges: this was the whole file
        return response.content[start:end]

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_CONNECTIONS)
        return self._pool

    def close(self) -> None:
        """End the connections."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def _get(self, url: str, headers: Mapping[str, str], method: str = "GET") -> httpx.Response:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=_SECONDS, follow_redirects=True)
        response: httpx.Response | None = None
        try:
            for attempt in stamina.retry_context(on=_Fleeting, attempts=_ATTEMPTS, timeout=4 * _SECONDS):
                with attempt:
                    response = self._once(self._client, method, url, headers)
        except (_Fleeting, httpx.HTTPError, httpx.InvalidURL) as error:
            raise IndexUnavailable(str(error)) from error
        if response is None or not response.is_success:
            status = "nothing" if response is None else response.status_code
            if status == _NOT_FOUND:
                raise NotThere(f"{urlsplit(url).hostname} does not have {urlsplit(url).path}")
            raise IndexUnavailable(f"{urlsplit(url).hostname} answered {status} for {urlsplit(url).path}")
        return response

    def _once(self, client: httpx.Client, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        try:
            response = client.request(method, url, headers=headers)
        except httpx.TransportError as error:
            raise _Fleeting(f"{_shown(url)} cannot be reached: {error}") from error
        if response.status_code == _TOO_MANY or response.status_code >= _SERVER_ERRORS:
            raise _Fleeting(f"{_shown(url)} answered {response.status_code}")
        with self._lock:
            self.traffic.requests += 1
            self.traffic.bytes += len(response.content)
        return response


def _local(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _read_local(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotThere(f"{path} cannot be read: {error.strerror}") from error
    except OSError as error:
        raise IndexUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _shown(url: str) -> str:
    """The address without credentials."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

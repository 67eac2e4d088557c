"""Fetching: pages of the index, and single stretches of large files."""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from netrc import NetrcParseError
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from harness.core.errors import ExitCode, HarnessError
from harness.environments.uv import offline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import httpx

_Login: TypeAlias = tuple[str, str]
_LOG = logging.getLogger(__name__)
_ATTEMPTS = 4
_SECONDS = 60.0
_NOT_FOUND = 404
_PARTIAL = 206
_TOO_MANY, _SERVER_ERRORS = 429, 500
_CONNECTIONS = 16
"""Requests at a time: enough to hide the waiting, which is most of what a request takes."""
_AHEAD = 96
"""Stretches fetched before they are asked for; most are a table of contents, well under a megabyte."""


class IndexUnavailable(HarnessError):  # noqa: N818 - says what happened, as ConnectionRefused would; it blames no version
    """The package index gave no usable answer. This is infrastructure: it says nothing about any version."""

    exit_code = ExitCode.INFRASTRUCTURE


class NotThere(IndexUnavailable):
    """The server answered that there is no such file or page."""


class _Fleeting(Exception):  # noqa: N818 - private, and worth another attempt
    """A request failed in a way that may pass."""


class Page(NamedTuple):
    """A page of an index, or a file beside a wheel."""

    address: str
    """Where it came from in the end, without credentials."""
    media_type: str
    content: bytes


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
    _logins: dict[str, _Login] = field(default_factory=dict)
    """By host and port: an index's files often lie beside it, with addresses that lack the index's credentials."""
    _offline: bool | None = None
    _client: httpx.Client | None = None
    _pool: ThreadPoolExecutor | None = None
    _whole: dict[str, bytes] = field(default_factory=dict)
    """Files whose server gives no ranges, or lying in this machine's folders: the last one."""
    _ahead: dict[tuple[str, int, int], Future[bytes]] = field(default_factory=dict)
    _pages: dict[str, Future[Page]] = field(default_factory=dict)
    """Pages and metadata that are being fetched before they are asked for."""
    _lock: Lock = field(default_factory=Lock)

    def log_in(self, addresses: Iterable[str]) -> None:
        """Use the credentials in these addresses for everything on the same hosts."""
        for address in addresses:
            if login := _login_in(address):
                self._logins[urlsplit(address).netloc.rpartition("@")[2]] = login

    def page(self, url: str, accept: str) -> Page:
        """A page of an index.

        Raises:
            IndexUnavailable: it cannot be had.
        """
        waiting = self._pages.pop(url, None)
        return self._page(url, accept) if waiting is None else waiting.result()

    def look_ahead_page(self, url: str, accept: str) -> None:
        """Begin to fetch what :meth:`page` will be asked for soon."""
        if _local(url) is None and url not in self._pages:
            self._pages[url] = self._threads().submit(self._page, url, accept)

    def _page(self, url: str, accept: str) -> Page:
        response = self._get(url, {"Accept": accept})
        return Page(without_credentials(str(response.url)), response.headers.get("content-type", ""), response.content)

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
            raise IndexUnavailable(f"{without_credentials(url)} does not tell its size")
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
        """The answer; fleeting errors are tried again."""
        shown = without_credentials(url)
        if self._offline is None:
            self._offline = offline()
        if self._offline:
            raise IndexUnavailable(f"{shown} is not asked because UV_OFFLINE is set")
        import httpx  # noqa: PLC0415 - a quarter of the start-up time, and not needed where everything is kept
        import stamina  # noqa: PLC0415 - as above

        login = _login_in(url) or self._logins.get(urlsplit(url).netloc)
        try:
            for trial in stamina.retry_context(on=_Fleeting, attempts=_ATTEMPTS, timeout=4 * _SECONDS):
                with trial:
                    response = self._once(method, shown, headers, login)
        except (_Fleeting, httpx.HTTPError, httpx.InvalidURL) as error:
            raise IndexUnavailable(str(error)) from error
        if response.status_code == _NOT_FOUND:
            raise NotThere(f"{urlsplit(url).hostname} does not have {urlsplit(url).path}")
        if not response.is_success:
            raise IndexUnavailable(f"{shown} answered {response.status_code}")
        with self._lock:
            self.traffic.requests += 1
            self.traffic.bytes += len(response.content)
        return response

    def _once(self, method: str, url: str, headers: Mapping[str, str], login: _Login | None) -> httpx.Response:
        import httpx  # noqa: PLC0415 - as above

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=_SECONDS, follow_redirects=True, auth=_netrc())
        try:
            response = self._client.request(method, url, headers=headers, auth=login or httpx.USE_CLIENT_DEFAULT)
        except httpx.TransportError as error:
            raise _Fleeting(f"{url} cannot be reached: {error}") from error
        if response.status_code == _TOO_MANY or response.status_code >= _SERVER_ERRORS:
            raise _Fleeting(f"{url} answered {response.status_code}")
        return response


def _netrc() -> httpx.Auth | None:
    """The user's own logins, where there are any."""
    import httpx  # noqa: PLC0415 - as above

    try:
        return httpx.NetRCAuth(os.environ.get("NETRC"))
    except FileNotFoundError:
        return None
    except (NetrcParseError, OSError) as error:
        _LOG.warning("no logins are taken from .netrc: %s", error)
        return None


def _login_in(url: str) -> _Login | None:
    parts = urlsplit(url)
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


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


def without_credentials(url: str) -> str:
    """An address as it may be shown and kept."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url

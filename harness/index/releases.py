"""The releases of a package with their dates, from the index that uv is configured to use.

The environments are built by uv, so uv's configuration (its settings files and ``UV_*`` variables) decides where
versions are looked up, and uv itself is asked what that configuration is. Answers are kept for a time in a cache
folder; folders on this machine are read each time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.core.errors import ExitCode, HarnessError
from harness.environments.uv import UvFailure, offline, run_uv
from harness.index.pages import (
    HTML_PAGE,
    JSON_PAGE,
    Release,
    files_of_folder,
    files_of_html,
    files_of_json,
    releases_of,
)
from harness.matrix.schema import end_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 4
_READ_SECONDS = 30.0
_UV_SECONDS = 60.0
_NOT_FOUND = 404
_TOO_MANY, _SERVER_ERRORS = 429, 500


class IndexUnavailable(HarnessError):  # noqa: N818 - says what happened, as ConnectionRefused would; it blames no version
    """The package index gave no usable answer. This is infrastructure: it says nothing about any version."""

    exit_code = ExitCode.INFRASTRUCTURE


class _Unreachable(Exception):  # noqa: N818 - private, and worth another attempt
    """A request failed in a way that may pass."""


@dataclass(frozen=True, slots=True)
class _Source:
    location: str
    flat: bool
    """A list of files of many packages (find-links) rather than an index with a page per package."""

    @property
    def shown(self) -> str:
        """The location without credentials."""
        parts = urlsplit(self.location)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else self.location

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, if it is one."""
        parts = urlsplit(self.location)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        return None if parts.scheme in {"http", "https"} else Path(self.location)


class PackageIndex:
    """Release lists, each asked for once and kept in ``cache`` for ``ttl``.

    Args:
        cache: folder of the kept answers; made when needed.
        ttl: how long an answer is used without asking again.
        index_url: a simple index (https://… or file://…) or a folder of wheels, instead of uv's configuration.
    """

    def __init__(self, cache: Path, ttl: timedelta, index_url: str | None = None) -> None:
        self._cache = cache
        self._ttl = ttl
        self._index_url = index_url
        self._sources: tuple[_Source, ...] | None = None
        self._known: dict[str, tuple[Release, ...]] = {}

    def versions(self, package: str, as_of: date | None) -> Sequence[Version]:
        """Releases that are not yanked, uploaded up to the end of ``as_of`` (UTC), oldest first.

        Releases whose upload time an index does not tell are left out when a date is given, except those of
        folders of wheels: both as uv itself does it.

        Raises:
            IndexUnavailable: the index could not be asked and no earlier answer is kept.
        """
        releases = self._releases(canonicalize_name(package))
        if as_of is None:
            return [release.version for release in releases]
        limit = datetime.fromisoformat(end_of(as_of))
        return [release.version for release in releases if release.uploaded is not None and release.uploaded < limit]

    def _releases(self, package: str) -> tuple[Release, ...]:
        if package not in self._known:
            self._known[package] = self._kept_or_asked(package)
        return self._known[package]

    def _kept_or_asked(self, package: str) -> tuple[Release, ...]:
        if self._index_url is not None and _Source(self._index_url, flat=False).folder is not None:
            return self._asked(package)
        file = self._cache / f"releases-{package}-{self._fingerprint()}.json"
        kept = _read_kept(file)
        if kept is not None and 0 <= time.time() - kept[0] < self._ttl.total_seconds():
            return kept[1]
        try:
            found = self._asked(package)
        except IndexUnavailable as error:
            if kept is None:
                raise
            _LOG.warning("%s; using the release list of %s", error, datetime.fromtimestamp(kept[0], UTC).isoformat())
            return kept[1]
        _keep(file, found)
        return found

    def _asked(self, package: str) -> tuple[Release, ...]:
        """What the sources say now: the first index that knows the package, and every flat list."""
        found: dict[Version, Release] = {}
        answered = False
        for source in self._configured():
            if source.flat or not answered:
                releases = _releases_at(source, package)
                answered = answered or (not source.flat and bool(releases))
                found |= {release.version: release for release in releases if release.version not in found}
        return tuple(found[version] for version in sorted(found))

    def _configured(self) -> tuple[_Source, ...]:
        if self._sources is None:
            if self._index_url is not None:
                self._sources = (_given_source(self._index_url),)
            else:
                self._sources = _sources_of_uv()
        return self._sources

    def _fingerprint(self) -> str:
        """Changes with anything that could make uv use another index."""
        if self._index_url is not None:
            told: list[object] = [self._index_url]
        else:
            told = [(key, value) for key, value in sorted(os.environ.items()) if key.startswith("UV_")]
            told += [(str(file), _stamp(file)) for file in _settings_files()]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _given_source(location: str) -> _Source:
    folder = _Source(location, flat=False).folder
    return _Source(location, flat=folder is not None and (any(folder.glob("*.whl")) or any(folder.glob("*.tar.gz"))))


def _sources_of_uv() -> tuple[_Source, ...]:
    """What uv would search, in its order: further indexes, the default index, flat lists.

    An empty compilation with its index options written out is the one place where uv tells them.
    """
    asked = ["pip", "compile", "--quiet", "--no-header", "--emit-index-url", "--emit-find-links", "-"]
    try:
        told = run_uv(asked, folder=Path.cwd(), timeout=_UV_SECONDS)
    except UvFailure as error:
        raise IndexUnavailable(f"uv does not tell which package index it uses: {error}") from error
    default: list[_Source] = []
    further: list[_Source] = []
    flat: list[_Source] = []
    for line in told.splitlines():
        words = shlex.split(line, comments=True)
        if len(words) == 2:  # noqa: PLR2004 - an option and its value
            option, location = words
            if option == "--index-url":
                default.append(_Source(location, flat=False))
            elif option == "--extra-index-url":
                further.append(_Source(location, flat=False))
            elif option == "--find-links":
                flat.append(_Source(location, flat=True))
    return (*further, *default, *flat)


def _settings_files() -> list[Path]:
    here = Path.cwd()
    beside = [folder / name for folder in (here, *here.parents) for name in ("uv.toml", "pyproject.toml")]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [*beside, home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _releases_at(source: _Source, package: str) -> list[Release]:
    folder = source.folder
    if folder is not None:
        return _releases_in(folder, source, package)
    url = source.location if source.flat else f"{source.location.rstrip('/')}/{package}/"
    response = _get(url, source.shown)
    if response is None:
        return []
    is_json = "json" in response.headers.get("content-type", "")
    try:
        files = files_of_json(response.content) if is_json else files_of_html(response.text)
    except ValueError as error:
        raise IndexUnavailable(f"{source.shown} gave a page for {package} that cannot be read: {error}") from error
    return releases_of(package, files)


def _releases_in(folder: Path, source: _Source, package: str) -> list[Release]:
    """A folder of wheels, or a folder laid out as an index with a folder per package."""
    try:
        if source.flat:
            always = datetime.min.replace(tzinfo=UTC)  # uv applies no date to flat lists
            return [Release(release.version, always) for release in releases_of(package, files_of_folder(folder))]
        page = folder / package
        if (page / "index.json").is_file():
            return releases_of(package, files_of_json((page / "index.json").read_bytes()))
        if (page / "index.html").is_file():
            return releases_of(package, files_of_html((page / "index.html").read_text("utf-8")))
        if not folder.is_dir():
            raise IndexUnavailable(f"{source.shown} is not a folder")
        return releases_of(package, files_of_folder(page)) if page.is_dir() else []
    except (OSError, ValueError) as error:
        raise IndexUnavailable(f"{source.shown} cannot be read for {package}: {error}") from error


def _get(url: str, shown: str) -> httpx.Response | None:
    """The page, None when the index does not know it; fleeting errors are tried again."""
    if offline():
        raise IndexUnavailable(f"{shown} is not asked because UV_OFFLINE is set")

    import httpx  # noqa: PLC0415 - a quarter of the start-up time, and rarely needed
    import stamina  # noqa: PLC0415 - as above

    accept = f"{JSON_PAGE}, {HTML_PAGE};q=0.1"

    def attempt() -> httpx.Response:
        try:
            response = httpx.get(url, headers={"Accept": accept}, timeout=_READ_SECONDS, follow_redirects=True)
        except httpx.TransportError as error:
            raise _Unreachable(f"{shown} cannot be reached: {error}") from error
        if response.status_code == _TOO_MANY or response.status_code >= _SERVER_ERRORS:
            raise _Unreachable(f"{shown} answered {response.status_code}")
        return response

    try:
        for trial in stamina.retry_context(on=_Unreachable, attempts=_ATTEMPTS, timeout=2 * _READ_SECONDS):
            with trial:
                answer = attempt()
    except (_Unreachable, httpx.HTTPError, httpx.InvalidURL) as error:
        raise IndexUnavailable(str(error)) from error
    if answer.status_code == _NOT_FOUND:
        return None
    if not answer.is_success:
        raise IndexUnavailable(f"{shown} answered {answer.status_code}")
    return answer


def _read_kept(file: Path) -> tuple[float, tuple[Release, ...]] | None:
    """A kept answer with the time it was given (seconds since 1970); None when there is none that can be read."""
    try:
        kept = json.loads(file.read_bytes())
        releases = tuple(
            Release(Version(version), None if stamp is None else datetime.fromisoformat(stamp))
            for version, stamp in kept["releases"]
        )
        return float(kept["asked"]), releases
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _LOG.warning("the kept release list %s cannot be read and is asked for again: %s", file, error)
        return None


def _keep(file: Path, releases: tuple[Release, ...]) -> None:
    listed = [(str(r.version), r.uploaded.isoformat() if r.uploaded else None) for r in releases]
    text = json.dumps({"asked": time.time(), "releases": listed})
    fresh = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, "utf-8")
        fresh.replace(file)
    except OSError as error:
        _LOG.warning("the release list could not be kept in %s: %s", file, error)

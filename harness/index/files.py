"""The files of every release of a package, with their addresses, from the configured package index.

:mod:`harness.index.releases` tells which versions exist and when they appeared; the scan also needs the address and the
size of each file, because it reads parts of them. Pages are the JSON form of the simple index (PEP 691, PEP 700).
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from harness.environments.uv import UvFailure, run_uv
from harness.index.download import NotThere
from harness.index.pages import JSON_PAGE
from harness.index.releases import IndexUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.tags import Tag

    from harness.index.cache import Store
    from harness.index.download import Downloads

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_PAGE_AGE = timedelta(hours=6)


class NoSuchPackage(IndexUnavailable):
    """The index answered, and does not know the package."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A wheel or source archive of one release."""

    filename: str
    url: str
    size: int | None
    """Bytes; None when the index does not say."""
    sha256: str | None
    uploaded: datetime | None
    yanked: bool
    requires_python: str | None
    version: Version
    tags: tuple[str, ...]
    """Compatibility tags of a wheel (``cp311-cp311-manylinux_2_28_x86_64``); empty for a source archive."""

    @property
    def is_wheel(self) -> bool:
        """A wheel rather than a source archive."""
        return self.filename.endswith(".whl")


class Registry:
    """Release files by package, each page asked for once and kept in the store.

    Args:
        store: where pages are kept.
        downloads: how they are fetched.
        index_url: a simple index (https://… or file://…), instead of the configured one.
        age: how long a kept page is used without asking again.
    """

    def __init__(
        self, store: Store, downloads: Downloads, *, index_url: str | None = None, age: timedelta = _PAGE_AGE
    ) -> None:
        self._store = store
        self._downloads = downloads
        self._index_url = index_url
        self._age = age
        self._known: dict[str, dict[Version, list[IndexFile]]] = {}
        self._listed: dict[tuple[str, date | None, bool], list[Version]] = {}

    def versions(self, package: str, *, as_of: date | None = None, prereleases: bool = False) -> list[Version]:
        """Releases with a file that is not yanked, uploaded by the end of ``as_of`` (UTC), oldest first.

        Raises:
            IndexUnavailable: the index cannot be asked, or does not know the package.
        """
        key = (canonicalize_name(package), as_of, prereleases)
        if key not in self._listed:
            self._listed[key] = self._list(*key)
        return self._listed[key]

    def look_ahead(self, packages: Iterable[str]) -> None:
        """Begin to fetch the pages of these packages, unless they are kept."""
        for package in packages:
            name = canonicalize_name(package)
            address = self._address(name)
            if name not in self._known and self._kept(address) is None:
                self._downloads.look_ahead_page(address, JSON_PAGE)

    def of_version(self, package: str, version: Version) -> list[IndexFile]:
        """All files of one release, yanked ones included: a person may ask for them by name.

        Raises:
            IndexUnavailable: the index cannot be asked, or does not know the package.
        """
        return self._files(canonicalize_name(package)).get(version, [])

    def _list(self, name: str, as_of: date | None, prereleases: bool) -> list[Version]:
        limit = None if as_of is None else datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC) + timedelta(days=1)
        return [
            version
            for version, files in sorted(self._files(name).items())
            if (prereleases or not version.is_prerelease)
            and any(
                not file.yanked and (limit is None or (file.uploaded is not None and file.uploaded < limit))
                for file in files
            )
        ]

    def _files(self, name: str) -> dict[Version, list[IndexFile]]:
        if name not in self._known:
            found = self._known[name] = {}
            for file in _read_page(name, *self._page(name)):
                found.setdefault(file.version, []).append(file)
        return self._known[name]

    def _page(self, name: str) -> tuple[str, bytes]:
        """The page's address and content."""
        address = self._address(name)
        if urlsplit(address).scheme == "file":
            return address, self._ask(name, address)  # a folder of this machine is read each time
        fresh = self._kept(address)
        if fresh is not None:
            return address, fresh
        try:
            content = self._ask(name, address)
        except IndexUnavailable:
            kept = self._store.page(address)
            if kept is None:
                raise
            return address, kept[1]
        self._store.keep_page(address, datetime.now(UTC), content)
        return address, content

    def _address(self, name: str) -> str:
        return f"{self._base().rstrip('/')}/{name}/"

    def _kept(self, address: str) -> bytes | None:
        """A kept page that is still new enough."""
        kept = self._store.page(address)
        fresh = kept is not None and timedelta(0) <= datetime.now(UTC) - kept[0] < self._age
        return kept[1] if kept is not None and fresh else None

    def _ask(self, name: str, address: str) -> bytes:
        try:
            return self._downloads.page(address, JSON_PAGE)
        except NotThere as error:
            raise NoSuchPackage(f"the package index has no {name}: {error}") from error

    def _base(self) -> str:
        if self._index_url is None:
            self._index_url = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None)
        if self._index_url is None:
            self._index_url = _default_of_uv()
        return self._index_url


def choose_file(
    files: Sequence[IndexFile], accepted: Sequence[Tag] | None = None, *, any_platform: bool = True
) -> IndexFile | None:
    """The file of a release to read: the wheel an installer with these tags would take, or the next best source.

    Args:
        files: the files of one release.
        accepted: the installer's tags, best first; None: any.
        any_platform: fall back to a wheel of another platform and to the source archive; their Python files say nearly
            the same, though an installer would not take them.
    """
    wheels = [file for file in files if file.is_wheel]
    if accepted is not None:
        rank = {str(tag): place for place, tag in enumerate(accepted)}
        fitting = [
            (min(rank[tag] for tag in f.tags if tag in rank), f) for f in wheels if any(t in rank for t in f.tags)
        ]
        if fitting:
            return min(fitting, key=lambda pair: pair[0])[1]
        if not any_platform:
            return None
    plain = [file for file in wheels if file.filename.endswith("-none-any.whl")]
    linux = [file for file in wheels if "linux" in file.filename]
    others: Iterable[IndexFile] = (*plain, *reversed(linux), *wheels, *files)
    return next(iter(others), None)


def _default_of_uv() -> str:
    """The index that uv would ask, from uv itself: an empty compilation writes it out."""
    asked = ["pip", "compile", "--quiet", "--no-header", "--emit-index-url", "-"]
    try:
        told = run_uv(asked, folder=Path.cwd(), timeout=60.0)
    except UvFailure as error:
        raise IndexUnavailable(f"uv does not tell which package index it uses: {error}") from error
    for line in told.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["--index-url"] and len(words) > 1:
            return words[1]
    raise IndexUnavailable("uv names no package index; set UV_DEFAULT_INDEX")


def _read_page(name: str, address: str, content: bytes) -> tuple[IndexFile, ...]:
    shown = urlsplit(address)._replace(netloc=urlsplit(address).hostname or "").geturl()
    try:
        entries = json.loads(content)["files"]
        found = [file for entry in entries if (file := _file(name, address, entry)) is not None]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IndexUnavailable(f"{shown} is not a JSON page of a simple index: {error}") from error
    return tuple(sorted(found, key=lambda file: (file.version, file.filename)))


def _file(name: str, address: str, entry: dict[str, Any]) -> IndexFile | None:
    filename: str = entry["filename"]
    tags: tuple[str, ...] = ()
    try:
        if filename.endswith(".whl"):
            project, version, _, parsed = parse_wheel_filename(filename)
            tags = tuple(sorted(str(tag) for tag in parsed))
        else:
            project, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None  # eggs, installers and the file names of long ago
    if project != name:
        return None
    stamp = entry.get("upload-time")
    return IndexFile(
        filename=filename,
        url=urljoin(address, entry["url"]),
        size=entry.get("size"),
        sha256=entry.get("hashes", {}).get("sha256"),
        uploaded=datetime.fromisoformat(stamp) if stamp else None,
        yanked=bool(entry.get("yanked")),
        requires_python=entry.get("requires-python"),
        version=version,
        tags=tags,
    )

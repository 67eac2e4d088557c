"""The one client of package indexes: which releases of a package there are, since when, and their files."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeAlias

from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.core.files import read_json, write_atomically
from harness.index.download import Downloads, IndexUnavailable, NotThere
from harness.index.files import IndexFile
from harness.index.pages import JSON_PAGE, by_version, files_of_folder, files_of_html, files_of_json
from harness.index.sources import SearchPath, configured_sources, fingerprint, given_source
from harness.matrix.schema import end_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.index.sources import Source

_LOG = logging.getLogger(__name__)
_ACCEPTED = f"{JSON_PAGE}, text/html;q=0.1"
_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""When a file of a flat list was uploaded: uv applies no date to those."""
Releases: TypeAlias = dict[Version, list[IndexFile]]


class PackageIndex:
    """The releases of packages, each package asked for once and kept in ``cache`` for ``ttl``.

    Args:
        cache: folder of the kept answers; made when needed.
        ttl: how long an answer is used without asking again.
        index_url: a simple index (https://… or file://…) or a folder of wheels, instead of what uv is configured for.
    """

    def __init__(self, cache: Path, ttl: timedelta, index_url: str | None = None) -> None:
        self.downloads = Downloads()
        self._cache = cache
        self._ttl = ttl
        self._index_url = index_url
        self._known: dict[str, Releases] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self.downloads.close()

    def versions(self, package: str, as_of: date | None = None) -> Sequence[Version]:
        """Releases that are not yanked, uploaded up to the end of ``as_of`` (UTC), oldest first.

        Files whose upload time an index does not tell are left out when a date is given, except those of flat lists:
        both as uv itself does it.

        Raises:
            IndexUnavailable: the index could not be asked and no earlier answer is kept.
        """
        limit = None if as_of is None else datetime.fromisoformat(end_of(as_of))
        return [
            version
            for version, files in self._releases(canonicalize_name(package)).items()
            if any(
                not file.yanked and (limit is None or (file.uploaded is not None and file.uploaded < limit))
                for file in files
            )
        ]

    def files(self, package: str, version: Version) -> Sequence[IndexFile]:
        """All files of one release, yanked ones included: a person may ask for them by name.

        Raises:
            IndexUnavailable: the index could not be asked and no earlier answer is kept.
        """
        return self._releases(canonicalize_name(package)).get(version, [])

    def every_version(self, package: str) -> Sequence[Version]:
        """All releases, oldest first, yanked ones included.

        Raises:
            IndexUnavailable: as :meth:`versions`.
        """
        return list(self._releases(canonicalize_name(package)))

    def day_of(self, package: str, version: Version) -> date | None:
        """The day (UTC) on which the release appeared; None where the index does not tell.

        Raises:
            IndexUnavailable: as :meth:`versions`.
        """
        moments = [each.uploaded for each in self.files(package, version) if each.uploaded not in {None, _ALWAYS}]
        return min((each.astimezone(UTC).date() for each in moments if each is not None), default=None)

    def look_ahead(self, packages: Iterable[str]) -> None:
        """Begin to fetch the pages of these packages, unless they are kept."""
        for package in packages:
            name = canonicalize_name(package)
            if name not in self._known and self._fresh(name) is None:
                for source in self._looked_up_in.found[:1]:
                    self.downloads.look_ahead_page(_page_of(source, name), _ACCEPTED)

    def _releases(self, name: str) -> Releases:
        if name not in self._known:
            self._known[name] = self._fresh(name) or self._asked(name)
        return self._known[name]

    def _asked(self, name: str) -> Releases:
        try:
            found = self._ask(name)
        except IndexUnavailable as error:
            kept = self._kept(name)
            if kept is None:
                raise
            _LOG.warning("%s; using the release list of %s", error, datetime.fromtimestamp(kept[0], UTC).isoformat())
            return kept[1]
        self._keep(name, found)
        return found

    def _ask(self, name: str) -> Releases:
        """What the sources say now: the first index that knows the package, and every flat list."""
        found: Releases = {}
        answered = False
        sources = self._looked_up_in
        for source in sources.found:
            if source.flat or not answered or sources.merged:
                releases = self._releases_at(source, name)
                answered = answered or (not source.flat and bool(releases))
                found |= {version: files for version, files in releases.items() if version not in found}
        return {version: found[version] for version in sorted(found)}

    @cached_property
    def _looked_up_in(self) -> SearchPath:
        given = self._index_url
        sources = configured_sources() if given is None else SearchPath((given_source(given),), merged=False)
        self.downloads.log_in(source.location for source in sources.found)
        return sources

    def _releases_at(self, source: Source, name: str) -> Releases:
        if source.folder is not None:
            return _releases_in(source.folder, source, name)
        try:
            address, media_type, content = self.downloads.page(_page_of(source, name), _ACCEPTED)
        except NotThere:
            return {}
        read = files_of_json if "json" in media_type else files_of_html
        try:
            return by_version(name, read(content.decode(errors="replace"), address))
        except ValueError as error:
            raise IndexUnavailable(f"{source.shown} gave a page for {name} that cannot be read: {error}") from error

    def _file(self, name: str) -> Path:
        return self._cache / f"files-{name}-{fingerprint(self._index_url)}.json"

    def _fresh(self, name: str) -> Releases | None:
        """A kept answer that is new enough."""
        if self._index_url is not None and given_source(self._index_url).folder is not None:
            return None  # a folder of this machine is read each time
        kept = self._kept(name)
        return kept[1] if kept is not None and 0 <= time.time() - kept[0] < self._ttl.total_seconds() else None

    def _kept(self, name: str) -> tuple[float, Releases] | None:
        """A kept answer with the time it was given (seconds since 1970); None when there is none that can be read."""
        data = read_json(self._file(name))
        if data is None:
            return None
        try:
            releases = {
                Version(version): [IndexFile(*row)._replace(uploaded=_moment(row[4])) for row in rows]
                for version, rows in data["releases"].items()
            }
            return float(data["asked"]), releases
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            _LOG.warning("the kept release list of %s cannot be read and is asked for again: %s", name, error)
            return None

    def _keep(self, name: str, releases: Releases) -> None:
        data = {"asked": time.time(), "releases": {str(version): files for version, files in releases.items()}}
        try:
            write_atomically(self._file(name), json.dumps(data, default=str))
        except OSError as error:
            _LOG.warning("the release list of %s could not be kept in %s: %s", name, self._cache, error)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _page_of(source: Source, name: str) -> str:
    return source.location if source.flat else f"{source.location.rstrip('/')}/{name}/"


def _releases_in(folder: Path, source: Source, name: str) -> Releases:
    """A folder of wheels, or a folder laid out as an index with a folder per package."""
    page = folder if source.flat else folder / name
    try:
        if not folder.is_dir():
            raise IndexUnavailable(f"{source.shown} is not a folder")
        if not page.is_dir():
            return {}
        for file, read in (("index.json", files_of_json), ("index.html", files_of_html)):
            if not source.flat and (page / file).is_file():
                return by_version(name, read((page / file).read_text("utf-8"), (page / file).absolute().as_uri()))
        return by_version(name, files_of_folder(page, _ALWAYS if source.flat else None))
    except (OSError, ValueError) as error:
        raise IndexUnavailable(f"{source.shown} cannot be read for {name}: {error}") from error

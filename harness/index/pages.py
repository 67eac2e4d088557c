"""What package indexes answer, read into release files: JSON pages, HTML pages and folders of wheels."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import (
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

if TYPE_CHECKING:
    from packaging.version import Version

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
"""Media type of PEP 691; its files carry upload times (PEP 700)."""
HTML_PAGE = "text/html"


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file of a release."""

    filename: str
    uploaded: datetime | None
    """None: the index does not say."""
    yanked: bool


@dataclass(frozen=True, slots=True)
class Release:
    """A release that has at least one file that is not yanked."""

    version: Version
    uploaded: datetime | None
    """When the first of its files appeared; None: the index does not say."""


def files_of_json(text: str | bytes) -> list[ReleaseFile]:
    """The files of a JSON page.

    Raises:
        ValueError: not such a page.
    """
    try:
        page = json.loads(text)
    except RecursionError as error:
        raise ValueError("the page is nested too deeply") from error
    if not isinstance(page, dict) or not isinstance(page.get("files"), list):
        raise ValueError("the page has no list of files")  # noqa: TRY004 - a wrong page is a wrong value
    found = []
    for entry in page["files"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
            raise ValueError("a file of the page has no name")  # noqa: TRY004 - as above
        stamp = entry.get("upload-time")
        uploaded = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
        found.append(ReleaseFile(entry["filename"], uploaded, yanked=bool(entry.get("yanked"))))
    return found


def files_of_html(text: str) -> list[ReleaseFile]:
    """The files that an HTML page links to; it has no upload times.

    Raises:
        ValueError: not HTML.
    """
    parser = _Links()
    try:
        parser.feed(text)
        parser.close()
    except AssertionError as error:  # the parser's own word for a declaration that it cannot read
        raise ValueError(f"the page is not HTML: {error}") from error
    return parser.files


def files_of_folder(folder: Path) -> list[ReleaseFile]:
    """The files that lie in a folder, as they are; a folder tells no upload times.

    Raises:
        OSError: it cannot be listed.
    """
    return [ReleaseFile(path.name, None, yanked=False) for path in sorted(folder.iterdir()) if path.is_file()]


def releases_of(package: str, files: list[ReleaseFile]) -> list[Release]:
    """The releases of ``package`` among ``files``, oldest version first; yanked files do not count."""
    name = canonicalize_name(package)
    uploads: dict[Version, list[datetime | None]] = defaultdict(list)
    for file in files:
        parsed = _name_and_version(file.filename)
        if parsed is not None and parsed[0] == name and not file.yanked:
            uploads[parsed[1]].append(file.uploaded)
    return [Release(version, _earliest(uploads[version])) for version in sorted(uploads)]


def _earliest(stamps: list[datetime | None]) -> datetime | None:
    known = [stamp for stamp in stamps if stamp is not None]
    return min(known) if len(known) == len(stamps) else None


def _name_and_version(filename: str) -> tuple[str, Version] | None:
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except ValueError:  # also a number of thousands of digits, which is no InvalidVersion
        return None  # eggs, installers and the file names of long ago
    return name, version


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.files: list[ReleaseFile] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the file an anchor points to."""
        given = dict(attrs)
        href = given.get("href")
        if tag == "a" and href:
            name = PurePosixPath(unquote(urlsplit(href).path)).name
            self.files.append(ReleaseFile(name, None, yanked="data-yanked" in given))

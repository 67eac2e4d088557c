"""Where releases are looked up: the indexes and folders that uv is configured for, as uv itself tells them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from harness.core.files import digest
from harness.environments.uv import UvFailure, run_uv
from harness.environments.uv_settings import BadSettings, uv_settings
from harness.index.download import IndexUnavailable, without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.environments.uv_settings import UvSettings

_UV_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """An index with a page for each package, or a list of files."""

    location: str
    flat: bool
    """A list of files of many packages (find-links)."""

    @property
    def shown(self) -> str:
        """The location without credentials."""
        return without_credentials(self.location)

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, if it is one."""
        parts = urlsplit(self.location)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        return None if parts.scheme in {"http", "https"} else Path(self.location)


def given_source(location: str) -> Source:
    """A simple index (https://… or file://…) or a folder of wheels, as somebody names it.

    Raises:
        IndexUnavailable: it is no address.
    """
    try:
        folder = Source(location, flat=False).folder
    except ValueError as error:
        raise IndexUnavailable(f"'{location}' is not the address of a package index: {error}") from error
    return Source(location, flat=folder is not None and (any(folder.glob("*.whl")) or any(folder.glob("*.tar.gz"))))


@dataclass(frozen=True, slots=True)
class SearchPath:
    """Where releases are looked up, in this order."""

    found: tuple[Source, ...]
    merged: bool
    """A package's versions are taken from every index rather than from the first that has the package."""


def configured_sources() -> SearchPath:
    """What uv would search: further indexes, the default index, flat lists.

    An empty compilation with its index options written out is the one place where uv tells them.

    Raises:
        IndexUnavailable: uv's settings cannot be read.
    """
    asked = ["pip", "compile", "--quiet", "--no-header", "--emit-index-url", "--emit-find-links", "-"]
    settings = _settings()
    try:
        told = run_uv(asked, folder=Path.cwd(), timeout=_UV_SECONDS, settings=settings)
    except UvFailure as error:
        raise IndexUnavailable(f"uv does not tell which package index it uses: {error}") from error
    found: dict[str, list[Source]] = {"--extra-index-url": [], "--index-url": [], "--find-links": []}
    logins = dict(_logins(settings))
    for line in told.splitlines():
        match shlex.split(line, comments=True):
            case [option, location] if option in found:
                found[option].append(Source(logins.get(location, location), flat=option == "--find-links"))
    options = settings.options
    strategies = (each.get("index-strategy") for each in (options.get("pip", {}), options))
    strategy = settings.variables.get("UV_INDEX_STRATEGY") or next(filter(None, strategies), "first-index")
    return SearchPath(tuple(source for each in found.values() for source in each), strategy != "first-index")


def fingerprint(index_url: str | None) -> str:
    """Changes with anything that could make another index the right one.

    Raises:
        IndexUnavailable: uv's settings cannot be read.
    """
    if index_url is not None:
        return digest(index_url)
    settings = _settings()
    variables = sorted(item for item in settings.variables.items() if item[0].startswith("UV_"))
    return digest(repr((variables, settings.options)))


def _settings() -> UvSettings:
    try:
        return uv_settings(Path.cwd())
    except BadSettings as error:
        raise IndexUnavailable(f"uv does not tell which package index it uses: {error}") from error


def _logins(settings: UvSettings) -> Iterator[tuple[str, str]]:
    """Addresses of indexes that have a name, with the credentials that variables give under that name."""
    variables = settings.variables
    given = [
        each.split("=", 1) for name in ("UV_DEFAULT_INDEX", "UV_INDEX") for each in variables.get(name, "").split()
    ]
    named = [*given, *([each.get("name"), each["url"]] for each in settings.options.get("index", ()))]
    for name, address in (pair for pair in named if len(pair) > 1 and pair[0]):
        prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        user, password = variables.get(f"{prefix}_USERNAME", ""), variables.get(f"{prefix}_PASSWORD", "")
        if (user or password) and "@" not in address:
            yield address, address.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1)

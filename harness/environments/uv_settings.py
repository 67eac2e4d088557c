"""Which of the user's settings of uv count: where packages come from and how they are reached, and no others.

uv has many more, in ``UV_*`` variables and in ``uv.toml`` or ``[tool.uv]``: some run what was installed
(``compile-bytecode``), some install more than the lock (``UV_VENV_SEED``), some change what a version resolves to. A
verdict would depend on them without saying so, so uv is given only what is listed here.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from harness.core.files import digest
from harness.environments.pip_settings import pip_as_uv
from harness.process.redaction import PASSED_ON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OF_THE_SYSTEM = frozenset(
    {
        "HOME",
        "TMPDIR",
        "APPDATA",
        "LOCALAPPDATA",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERPROFILE",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "NETRC",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSL_CLIENT_CERT",
        "REQUESTS_CA_BUNDLE",
        *(name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (upper, upper.lower())),
    }
)
_OF_UV = frozenset(
    {
        "UV_DEFAULT_INDEX",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_NO_INDEX",
        "UV_INDEX_STRATEGY",
        "UV_KEYRING_PROVIDER",
        "UV_CREDENTIALS_DIR",
        "UV_EXCLUDE_NEWER",
        "UV_OFFLINE",
        "UV_NATIVE_TLS",
        "UV_SYSTEM_CERTS",
        "UV_INSECURE_HOST",
        "UV_HTTP_TIMEOUT",
        "UV_HTTP_CONNECT_TIMEOUT",
        "UV_HTTP_RETRIES",
        "UV_REQUEST_TIMEOUT",
        "UV_CONCURRENT_DOWNLOADS",
        "UV_CONCURRENT_INSTALLS",
        "UV_CACHE_DIR",
        "UV_NO_CACHE",
        "UV_LINK_MODE",
        "UV_LOCK_TIMEOUT",
        "UV_PYTHON_INSTALL_DIR",
        "UV_PYTHON_CACHE_DIR",
        "UV_PYTHON_INSTALL_MIRROR",
        "UV_PYTHON_DOWNLOADS",
        "UV_PYTHON_DOWNLOADS_JSON_URL",
        "UV_PYTHON_PREFERENCE",
        "UV_MANAGED_PYTHON",
        "UV_NO_MANAGED_PYTHON",
    }
)
_CREDENTIALS = re.compile(r"UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)")
_WHERE_FROM = frozenset({"index", "index-url", "extra-index-url", "find-links", "no-index"})
"""Settings that say where packages come from; the variables are called alike, and ``UV_DEFAULT_INDEX``."""
_OF_PIP = frozenset({"PIP_INDEX_URL", "PIP_CERT", "PIP_PROXY"})
"""uv reads none of them; pip does, where it is asked for advisories."""
_DECISIVE = _WHERE_FROM | {"default-index", "index-strategy", "exclude-newer", "exclude-newer-package"}
"""Settings on which the answer of the resolver depends; the others only say how it is found."""
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_PLACES = frozenset({"index", "index-url", "extra-index-url", "find-links", "cache-dir"})
"""Options whose values may be paths, which mean something from their file's folder."""
_OPTIONS_OF_PIP = frozenset(
    {
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "index-strategy",
        "keyring-provider",
        "exclude-newer",
        "exclude-newer-package",
        "link-mode",
    }
)
_OPTIONS = _OPTIONS_OF_PIP | {
    "index",
    "offline",
    "native-tls",
    "system-certs",
    "allow-insecure-host",
    "trusted-host",
    "http-proxy",
    "https-proxy",
    "no-proxy",
    "concurrent-downloads",
    "concurrent-installs",
    "cache-dir",
    "no-cache",
    "python-downloads",
    "python-downloads-json-url",
    "python-install-mirror",
    "python-preference",
}
_ON = frozenset({"1", "true", "yes", "on", "y", "t"})
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class BadSettings(ValueError):  # noqa: N818 - reads as what it says of them
    """uv's or pip's settings cannot be what they are; the message says which and why."""


@dataclass(frozen=True, slots=True)
class UvSettings:
    """What counts of the user's settings in one folder."""

    variables: Mapping[str, str]
    options: Mapping[str, Any]
    """Content of the only settings file that uv is to read."""

    @property
    def offline(self) -> bool:
        """Whether they forbid the network."""
        return _is_on(self.variables.get("UV_OFFLINE")) or self.options.get("offline") is True

    @property
    def decisive(self) -> str:
        """Hash of those settings on which an answer of the resolver depends.

        Logins are left out: tokens change from job to job, and the index stays the same.
        """
        variables = {name: value for name in _DECISIVE if (value := self.variables.get(_variable(name)))}
        options, pip = (
            {name: value for name, value in table.items() if name in _DECISIVE}
            for table in (self.options, self.options.get("pip", {}))
        )
        return digest(_LOGIN.sub("", json.dumps([variables, options, pip], sort_keys=True, default=str)))

    @property
    def has_lists(self) -> bool:
        """Whether they name lists of files, which tell no upload times: what is in one at a date can change."""
        return bool(
            self.variables.get("UV_FIND_LINKS")
            or self.options.get("find-links")
            or self.options.get("pip", {}).get("find-links")
        )

    @property
    def missing(self) -> str | None:
        """A folder that they name for packages and that is not there.

        uv takes it for one that holds nothing, and would blame the versions for that.
        """
        for place in _sources(self.variables, self.options):
            path = place.removeprefix("file://") if place.startswith(("/", "file:///")) else None
            if path is not None and not Path(unquote(path)).exists():
                return path
        return None


def uv_settings(folder: Path) -> UvSettings:
    """What counts where uv works in ``folder``, found where uv finds it.

    Raises:
        BadSettings: a file cannot be read.
    """
    options: dict[str, Any] = {}
    for file, content in _files(folder.absolute()):
        found = _counting(content, _OPTIONS, file.parent)
        if isinstance(content.get("pip"), dict):
            found["pip"] = _counting(content["pip"], _OPTIONS_OF_PIP, file.parent)
        options = _merged(options, found)
    variables = installer_variables()
    named = {_variable(name) for name in (*_WHERE_FROM, "default-index")}
    if not (named & variables.keys() or _WHERE_FROM & {*options, *options.get("pip", ())}):
        try:
            variables |= pip_as_uv()
        except ValueError as error:
            raise BadSettings(str(error)) from error
    return UvSettings(variables, options)


def _sources(variables: Mapping[str, str], options: Mapping[str, Any]) -> Iterator[str]:
    """Every place that the settings name for packages, as it stands there."""
    for name in _WHERE_FROM | {"default-index"}:
        for each in re.split(r"[\s,]+", variables.get(_variable(name), "")):
            yield each.rpartition("=")[2]  # an index may have a name
    for table in (options, options.get("pip", {})):
        for name in table.keys() & _WHERE_FROM:
            for each in table[name] if isinstance(table[name], list) else [table[name]]:
                place = each.get("url") if isinstance(each, dict) else each
                if isinstance(place, str):
                    yield place


def _variable(name: str) -> str:
    return f"UV_{name.upper().replace('-', '_')}"


def installer_variables() -> dict[str, str]:
    """The variables that uv and other installers may know, credentials for indexes and proxies among them."""
    names = PASSED_ON | _OF_THE_SYSTEM | _OF_UV | _OF_PIP
    return {name: value for name, value in os.environ.items() if name in names or _CREDENTIALS.fullmatch(name)}


def _files(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The settings files that count, the strongest first: the project's, the user's, the system's."""
    named = os.environ.get("UV_CONFIG_FILE")
    if named:
        yield Path(named).absolute(), _read(Path(named))
        return
    if _is_on(os.environ.get("UV_NO_CONFIG")):
        return
    for place in (folder, *folder.parents):
        project = place / "pyproject.toml"
        if (place / "uv.toml").is_file():
            yield place / "uv.toml", _read(place / "uv.toml")
            break
        if project.is_file() and isinstance(table := _tool_uv(project), dict):
            yield project, table
            break
    of_windows = os.environ.get("APPDATA") if sys.platform == "win32" else None
    user = Path(os.environ.get("XDG_CONFIG_HOME") or of_windows or Path.home() / ".config")
    if (user / "uv" / "uv.toml").is_file():
        yield user / "uv" / "uv.toml", _read(user / "uv" / "uv.toml")
    if _is_on(os.environ.get("UV_NO_SYSTEM_CONFIG")):
        return
    system = [*filter(None, os.environ.get("XDG_CONFIG_DIRS", "").split(":")), "/etc"]
    first = next((file for each in system if (file := Path(each, "uv", "uv.toml")).is_file()), None)
    if first is not None:
        yield first, _read(first)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadSettings(f"the settings file {file} of uv cannot be read: {error}") from error


def _tool_uv(project: Path) -> object:
    """The table in a project's file; None where there is none, or where uv would pass over the file."""
    try:
        return tomllib.loads(project.read_text("utf-8")).get("tool", {}).get("uv")
    except (OSError, ValueError, RecursionError, AttributeError):
        return None


def _counting(content: Mapping[str, Any], names: frozenset[str], folder: Path) -> dict[str, Any]:
    return {
        name: _placed(value, folder) if name in _PLACES else value for name, value in content.items() if name in names
    }


def _placed(value: object, folder: Path) -> object:
    """The value, with paths that mean something from their file's folder meaning it from everywhere."""
    if isinstance(value, str):
        return value if _ADDRESS.match(value) else str(folder / value)
    if isinstance(value, list):
        return [_placed(each, folder) for each in value]
    if isinstance(value, dict) and isinstance(value.get("url"), str):
        return {**value, "url": _placed(value["url"], folder)}
    return value


def _merged(stronger: Mapping[str, Any], weaker: Mapping[str, Any]) -> dict[str, Any]:
    """Both, as uv puts them together: lists one after the other, tables by their entries."""
    found = {**weaker, **stronger}
    for name in stronger.keys() & weaker.keys():
        first, second = stronger[name], weaker[name]
        if isinstance(first, list) and isinstance(second, list):
            found[name] = first + second
        elif isinstance(first, dict) and isinstance(second, dict):
            found[name] = _merged(first, second)
    return found


def _is_on(value: str | None) -> bool:
    return (value or "").lower() in _ON

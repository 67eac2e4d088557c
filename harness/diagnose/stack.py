"""Which versions are installed: from a file that says so, and from what a log mentions."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.core.errors import HarnessError
from harness.diagnose.patterns import text_pattern
from harness.process.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NAME = r"(?P<name>[A-Za-z][\w.-]*)"
_VERSION = r"(?P<version>\d[\w.+!]*)"
_ROWS = (
    text_pattern(rf"^\s*(?:[+~] )?{_NAME}\s*(?:===?)\s*{_VERSION}\s*(?:;.*|\\)?$"),
    text_pattern(rf"^\s*{_NAME}: +{_VERSION}(?:\s.*)?$"),
    text_pattern(rf"^\s*{_NAME} {{2,}}{_VERSION}(?:\s+\S+)?$"),
    text_pattern(rf"^\s*{_NAME} +{_VERSION}$"),
)
"""``pip freeze`` and uv's ``+ name==version``, ``lmdeploy check_env``, ``pip list``."""
_INSTALLED = text_pattern(r"Successfully installed (?P<all>.+)$")
_ASKED = text_pattern(r"\bpip3? install (?P<all>.+)$")
_PINNED = text_pattern(r"(?:^|[\s'\"])([A-Za-z][\w.-]*)(?:\[[\w,]+\])?==([\w.+!]+)")
_DASHED = text_pattern(r"(?:^|\s)([A-Za-z][\w.-]*?)-(\d[\w.+!]*)")
_TOLD = text_pattern(
    r"(?i)\b(?P<name>lmdeploy|vllm|sglang|transformers|torch|torchvision|peft|accelerate|tokenizers|huggingface[-_]hub|"
    r"numpy|triton|trl|flash[-_]attn|autoawq)(?: (?:API server|requires transformers|engine))?(?: version)?[:= ]+v?"
    r"(?P<version>\d+\.\d+[\w.+]*)"
)
_FOUND = text_pattern(
    r"(?:requires (?P<name>transformers) version: .{1,80}, but found version: (?P<version>[\w.+]+))|"
    r"but you have (?P<other>[\w.-]+) (?P<other_version>\d[\w.+!]*) which is"
)
_SHOWN_NAME = text_pattern(r"^\s*Name: (?P<name>[A-Za-z][\w.-]*)\s*$")
_SHOWN_VERSION = text_pattern(r"^\s*Version: (?P<version>\d[\w.+!]*)\s*$")
"""``pip show`` says them in two lines."""
_ALIASES = {"pytorch": "torch"}
_MOST = 16_000_000
"""Bytes of a file that lists packages: a lock of a large stack has one."""


class StackError(HarnessError, ValueError):
    """A file that should name installed packages does not; the message says what is wrong."""


def read_stack(path: Path) -> dict[str, str]:
    """Installed packages from a ``pylock.toml``, a requirements file, ``pip list`` or ``lmdeploy check_env``.

    Raises:
        StackError: it is none of them.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise StackError(f"{path} has more than {_MOST:,} bytes, and is no list of packages")
    text = data.decode(errors="replace")
    if path.suffix == ".toml":
        return _from_pylock(text, path)
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith(("#", "-")):
            found.update(_row(line))
            if "==" in line:
                name, version = _pinned(line, path)
                found[name] = version
    if not found:
        raise StackError(
            f"{path} names no installed version; give a pylock.toml, or what pip freeze, pip list or lmdeploy check_env"
            " prints"
        )
    return found


def versions_in(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    """The numbers of the lines of a log that say which versions are installed, and those."""
    shown = ""
    for number, text in lines:
        if (name := _SHOWN_NAME.match(text)) is not None:
            shown = canonicalize_name(name.group("name") or "")
        elif shown and (version := _SHOWN_VERSION.match(text)) is not None:
            yield number, {shown: version.group("version") or ""}
            shown = ""
        elif told := versions_told(text):
            yield number, told


def versions_told(line: str) -> dict[str, str]:
    """The versions that a line of a log says are installed; normalised names."""
    if not any(character.isdigit() for character in line):
        return {}
    told = {**_row(line), **_told(line)}
    return {_ALIASES.get(canonicalize_name(name), canonicalize_name(name)): version for name, version in told.items()}


def _row(line: str) -> dict[str, str]:
    for pattern in _ROWS:
        if (match := pattern.match(line)) is not None and _is_version(version := match.group("version") or ""):
            return {match.group("name") or "": version}
    return {}


def _told(line: str) -> dict[str, str]:
    if (match := _FOUND.search(line)) is not None:
        name, version = match.group("name") or match.group("other"), match.group("version") or match.group(4)
        return {name or "": version or ""}
    if (match := _INSTALLED.search(line)) is not None:
        return {hit.group(1) or "": hit.group(2) or "" for hit in _DASHED.finditer(match.group("all") or "")}
    if (match := _ASKED.search(line)) is not None:
        return {hit.group(1) or "": hit.group(2) or "" for hit in _PINNED.finditer(match.group("all") or "")}
    if (match := _TOLD.search(line)) is not None and "requires" not in line and "depends" not in line:
        return {match.group("name") or "": (match.group("version") or "").rstrip(".")}
    return {}


def _is_version(text: str) -> bool:
    try:
        return "." in text and bool(Version(text))
    except InvalidVersion:
        return False


def _from_pylock(text: str, path: Path) -> dict[str, str]:
    try:
        packages = tomllib.loads(text)["packages"]
        return {entry["name"]: entry["version"] for entry in packages if "version" in entry}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StackError(f"{path} is not a pylock.toml: {error}") from error


def _pinned(line: str, path: Path) -> tuple[str, str]:
    name, _, version = line.partition(";")[0].partition("==")
    try:
        return Requirement(name.strip()).name, redact(version.strip().split()[0])
    except (InvalidRequirement, IndexError) as error:
        raise StackError(f"{path}: {line.strip()!r} is not of the form name==version") from error

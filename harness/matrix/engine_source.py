"""An lmdeploy from elsewhere than the index: a wheel on this machine, an address, or a commit."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

_SHOWN = 8
"""Hexadecimal digits of the file's hash (``h``) or the commit (``g``) that stand in the version."""
_COMMIT = re.compile(r"git\+(?:https|ssh|file)://[^\s@]+(?:@[^\s@/]+)*@(?P<commit>[0-9a-f]{7,40})")
HOW_TO_WRITE = "write a wheel (dist/lmdeploy-….whl), its address, or 'VERSION @ git+https://…@COMMIT'"


@dataclass(frozen=True, slots=True)
class EngineSource:
    """Where an lmdeploy comes from."""

    version: Version
    """Its own, with the start of the file's or commit's hash as local part: another file is another version."""
    requirement: str
    from_source: bool = False


def is_source(text: str) -> bool:
    """Whether an entry of the lmdeploy axis is no version and no rule."""
    return text.endswith(".whl") or "://" in text


def check_source(text: str) -> str:
    """The entry, if it can be read as one; the file itself is looked at when the matrix is expanded.

    Raises:
        ValueError: it cannot; the message says what to write.
    """
    said, source = _parts(text)
    if source.startswith("git+"):
        if _COMMIT.fullmatch(source) is None:
            raise ValueError(f"'{source}' names no commit, and a branch moves; {HOW_TO_WRITE}")
        if said is None:
            raise ValueError(f"'{text}' does not say which version the commit is; {HOW_TO_WRITE}")
    else:
        _wheel_version(source)
    return text.strip()


def read_source(text: str, folder: Path) -> EngineSource:
    """What an entry means; paths are those of the matrix's folder.

    Raises:
        ValueError: there is no such file, or it is not a wheel of lmdeploy.
    """
    said, source = _parts(text)
    commit = _COMMIT.fullmatch(source)
    if commit is not None and said is not None:
        return EngineSource(_marked(said, f"g{commit['commit'][:_SHOWN]}"), f"lmdeploy @ {source}", from_source=True)
    version = said or _wheel_version(source)
    if "://" in source:
        given = re.search(r"#sha256=([0-9a-f]{64})", source)
        mark = given[1] if given is not None else hashlib.sha256(source.encode()).hexdigest()
        return EngineSource(_marked(version, f"h{mark[:_SHOWN]}"), f"lmdeploy @ {source}")
    path = (folder / Path(source).expanduser()).resolve()
    if not path.is_file():
        raise ValueError(f"there is no {path}; build the wheel first, or write another path")
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return EngineSource(_marked(version, f"h{content[:_SHOWN]}"), f"lmdeploy @ {path.as_uri()}#sha256={content}")


def _parts(text: str) -> tuple[Version | None, str]:
    version, at, source = text.partition(" @ ")
    if not at:
        return None, text.strip()
    try:
        return Version(version.strip()), source.strip()
    except InvalidVersion:
        raise ValueError(f"'{version}' is not a version; {HOW_TO_WRITE}") from None


def _wheel_version(source: str) -> Version:
    name = source.partition("#")[0].rpartition("/")[2]
    try:
        package, version, _, _ = parse_wheel_filename(name)
    except InvalidWheelFilename:
        raise ValueError(f"'{name}' is not the name of a wheel; {HOW_TO_WRITE}") from None
    if package != "lmdeploy":
        raise ValueError(f"'{name}' is a wheel of {package}, and this is the axis of lmdeploy")
    return version


def _marked(version: Version, mark: str) -> Version:
    return Version(f"{version}.{mark}" if version.local else f"{version}+{mark}")

"""Locks of uv, pip, Poetry and Pipenv: every package with its version, settled for one Python on this platform."""

from __future__ import annotations

import json
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.pylock import (
    PackageArchive,
    PackageDirectory,
    PackageVcs,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.core.files import LARGEST_JSON, read_bounded
from harness.environments.interpreters import find_interpreter
from harness.environments.lock import platform_tags
from harness.environments.lock_files.markers import environment_of, holds
from harness.environments.lock_files.poetry import chosen_packages
from harness.environments.uv import UvFailure, run_uv
from harness.matrix.deployed import UnreadableLock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.environments.lock_files.requirements import Lines

_USUAL = "https://pypi.org/simple"
"""What lock files call the index that an installer asks unasked: whatever this machine has in its place stays."""
_SECONDS = 120.0


def load_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        UnreadableLock: it cannot be read.
    """
    try:
        return tomllib.loads(read_bounded(file, LARGEST_JSON).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableLock(f"{file} cannot be read: {error}") from error


def read_uv_lock(file: Path, into: Lines, groups: Sequence[str], extras: Sequence[str]) -> None:
    """Take what uv itself says that its lock installs.

    Raises:
        UnreadableLock: uv refuses it, or the project's file is not beside it.
    """
    if not (file.parent / "pyproject.toml").is_file():
        raise UnreadableLock(f"{file} has no pyproject.toml beside it, and uv reads the two together")
    arguments = ["export", "--frozen", "--quiet", "--format", "requirements.txt", "--no-emit-project"]
    arguments += ["--no-header", "--no-annotate", "--no-hashes", "--no-default-groups"]
    arguments += ["--python", str(find_interpreter(into.python))]
    arguments += [part for name in groups for part in ("--group", name)]
    arguments += [part for name in extras for part in ("--extra", name)]
    try:
        with tempfile.TemporaryDirectory(prefix="harness-lock-") as name:
            written = Path(name, "requirements.txt")  # what uv prints has passed the redaction of secrets
            run_uv([*arguments, "--output-file", str(written)], folder=file.parent.absolute(), timeout=_SECONDS)
            exported = written.read_text(encoding="utf-8")
    except UvFailure as failure:
        if failure.kind in {"network", "disk", "timeout", "killed", "settings"}:
            raise
        raise UnreadableLock(f"uv cannot export {file}: {failure.message.strip()}") from failure
    for number, line in enumerate(exported.splitlines(), 1):
        if line.startswith("-e "):
            into.untested.append(line.removeprefix("-e ").strip())
        elif line.strip():
            into.take(line.strip(), f"{file.name}, exported, line {number}")
    taken = {_name(each) for each in into.requirements}
    sources = (each for each in load_toml(file).get("package", ()) if canonicalize_name(each["name"]) in taken)
    into.indexes += _further(each.get("source", {}).get("registry") for each in sources)


def read_pylock(file: Path, into: Lines, groups: Sequence[str], extras: Sequence[str]) -> None:
    """Take what a PEP 751 lock selects.

    Raises:
        UnreadableLock: it is none, or has a package without a file for this platform.
    """
    content = load_toml(file)
    try:
        lock = Pylock.from_dict(content)
        chosen = lock.select(
            environment=environment_of(into.python),
            tags=platform_tags(into.python),
            extras=[str(canonicalize_name(each)) for each in extras] or None,
            dependency_groups=list(groups) or None,
        )
        for package, part in chosen:
            if isinstance(part, PackageDirectory):
                into.untested.append(part.path)
            elif isinstance(part, PackageVcs):
                into.take(f"{package.name} @ {part.type}+{part.url or part.path}@{part.commit_id}", file.name)
            elif isinstance(part, PackageArchive):
                into.take(f"{package.name} @ {part.url or part.path}", file.name)
            else:
                into.take(f"{package.name}=={package.version}", file.name)
                into.indexes += _further([package.index])
    except (PylockValidationError, PylockSelectError) as error:
        raise UnreadableLock(f"{file}: {error}") from error


def read_poetry_lock(file: Path, into: Lines, groups: Sequence[str], extras: Sequence[str]) -> None:
    """Take what Poetry would install without its development groups.

    Raises:
        UnreadableLock: it cannot be read.
    """
    content = load_toml(file)
    project = file.parent / "pyproject.toml"
    told = load_toml(project) if project.is_file() else {}
    for package in chosen_packages(file, content, told, into.python, groups, extras):
        source = package.get("source", {})
        kind, url = source.get("type"), source.get("url", "")
        if kind in {"directory", "file"}:
            into.untested.append(url)
        elif kind == "git":
            into.take(f"{package['name']} @ git+{url}@{source.get('resolved_reference', '')}", file.name)
        elif kind == "url":
            into.take(f"{package['name']} @ {url}", file.name)
        else:
            into.take(f"{package['name']}=={package['version']}", file.name)
            into.indexes += _further([url] if kind == "legacy" else [])


def read_pipfile_lock(file: Path, into: Lines, groups: Sequence[str]) -> None:
    """Take the default packages of a ``Pipfile.lock``, and those of the groups that are named.

    Raises:
        UnreadableLock: it cannot be read.
    """
    content = load_json(file)
    for group in ("default", *groups):
        if not isinstance(content.get(group), dict):
            raise UnreadableLock(f"{file} has no group '{group}'; it has {', '.join(_groups(content)) or 'none'}")
        for name, told in content[group].items():
            _take_pipenv(name, told, into, file)
    for source in content.get("_meta", {}).get("sources", ()):
        into.indexes += _further([source.get("url")])


def load_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UnreadableLock: it cannot be read.
    """
    try:
        content = json.loads(read_bounded(file, LARGEST_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableLock(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableLock(f"{file} holds no object")
    return content


def _groups(content: Mapping[str, Any]) -> list[str]:
    return [name for name, value in content.items() if isinstance(value, dict) and not name.startswith("_")]


def _take_pipenv(name: str, told: Any, into: Lines, file: Path) -> None:  # noqa: ANN401 - whatever stands in the file
    version = told.get("version") if isinstance(told, dict) else told
    if isinstance(told, dict) and not holds(told.get("markers"), into.python):
        return
    if isinstance(told, dict) and "git" in told:
        into.take(f"{name} @ git+{told['git']}@{told.get('ref', '')}", file.name)
    elif isinstance(version, str):
        into.take(f"{name}{version}", file.name)
    else:
        into.untested.append(name)


def _name(text: str) -> str:
    return str(canonicalize_name(Requirement(text).name))


def _further(urls: Iterable[str | None]) -> list[str]:
    """Those that are no folder of this machine and not the usual one."""
    return [url for url in urls if url and url.startswith("https://") and url.rstrip("/") != _USUAL]

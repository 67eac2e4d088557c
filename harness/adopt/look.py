"""What a repository says of itself: its files of packages, its Python, and what its code does with lmdeploy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.files import shaped
from harness.engines import ENGINES
from harness.environments.interpreters import NoInterpreter
from harness.environments.lock_files.kinds import Kind, files_in
from harness.environments.lock_files.locks import load_toml
from harness.environments.uv import UvFailure
from harness.matrix.deployed import UnreadableLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from harness.matrix.deployed import Deployed, LockReader
    from harness.matrix.models import Family

DEFAULT_PYTHON = "3.11"
_FOLDERS = ("requirements", "docker")
"""Folders whose files of packages count as the project's."""
_PASSED_OVER = frozenset({"node_modules", "build", "dist", "site-packages", "__pycache__"})
_MOST_FILES = 3000
_LARGEST = 500_000
_CODE = frozenset({".py", ".sh", ".yml", ".yaml", ".toml", ".service"})
_BACKENDS = {
    each.backend: re.compile(rf"{each.name}|--backend[ =]+{each.backend}|backend=[\"']{each.backend}")
    for engine in ENGINES.values()
    if (each := engine.configuration) is not None
}
"""How code names lmdeploy's engines."""
_HUB_ID = re.compile(r"[\"' ]([A-Za-z0-9][\w.-]{1,60}/[A-Za-z0-9][\w.-]{1,80})(?=[\"'\s])")


@dataclass(frozen=True, slots=True)
class Lock:
    """A file that says what is deployed."""

    name: str
    python: str
    read_python: bool
    """Whether the project says that Python; otherwise it was taken for want of another."""
    deployed: Deployed
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


@dataclass(slots=True)
class Repository:
    """What was found."""

    locks: list[Lock] = field(default_factory=list)
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    """Files that are not used, and why."""
    backends: list[str] = field(default_factory=list)
    """Engines that the code names."""
    models: list[str] = field(default_factory=list)
    """Models of the package that stand for those that the code names."""
    code: list[str] = field(default_factory=list)
    """Where code imports lmdeploy or transformers: folders of the repository, or files in it."""


def look(folder: Path, reader: LockReader, families: Mapping[str, Family]) -> Repository:
    """Read what is there.

    Args:
        folder: the repository.
        reader: of the files of packages.
        families: of which models the package has a miniature.

    Raises:
        UvFailure: what a file leaves open could not be asked.
    """
    found = Repository()
    _locks(folder, reader, found)
    _code(folder, families, found)
    return found


def _locks(folder: Path, reader: LockReader, found: Repository) -> None:
    files = files_in(folder)
    for name in _FOLDERS:
        if (folder / name).is_dir():
            files += files_in(folder / name)
    files.sort(key=lambda each: list(Kind).index(each[0]))
    for kind, file in files:
        name = str(file.relative_to(folder))
        if found.locks and not (kind.is_lock and found.locks[0].name == name):
            if kind is not Kind.PROJECT:
                found.passed_over.append((name, f"{found.locks[0].name} says it already"))
            continue
        try:
            found.locks.append(_read(kind, file, name, reader))
        except UnreadableLock as error:
            found.passed_over.append((name, str(error)))
        except NoInterpreter as error:
            found.passed_over.append((name, str(error)))
        except UvFailure as failure:
            if not failure.of_versions:
                raise
            found.passed_over.append((name, failure.message))


def _read(kind: Kind, file: Path, name: str, reader: LockReader) -> Lock:
    """The file with the groups and extras that lmdeploy is in.

    Raises:
        UnreadableLock: it is in none.
    """
    said = reader.python(file)
    python = said or DEFAULT_PYTHON
    first: UnreadableLock | None = None
    for groups, extras in _choices(kind, file):
        try:
            return Lock(name, python, said is not None, reader.read(file, python, groups, extras, None), groups, extras)
        except UnreadableLock as error:
            first = first or error
    raise first or UnreadableLock(f"{name} could not be read")


def _choices(kind: Kind, file: Path) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Nothing further, then each extra and group whose list names lmdeploy."""
    yield (), ()
    project = file.parent / "pyproject.toml"
    if not (kind.is_lock or kind is Kind.PROJECT) or not project.is_file():
        return
    content = load_toml(project)
    with shaped(project, UnreadableLock):
        yield from list(_further(content))


def _further(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    tables = content.get("project", {}).get("optional-dependencies", {})
    yield from (((), (name,)) for name, listed in tables.items() if _names_lmdeploy(listed))
    groups = dict(content.get("dependency-groups", {}))
    poetry = content.get("tool", {}).get("poetry", {})
    groups |= {name: table.get("dependencies", {}) for name, table in poetry.get("group", {}).items()}
    yield from (((name,), ()) for name, listed in groups.items() if _names_lmdeploy(listed))


def _names_lmdeploy(listed: Sequence[object] | Mapping[str, object]) -> bool:
    return any(re.match(r"lmdeploy\b", str(each), re.IGNORECASE) for each in listed)


def _code(folder: Path, families: Mapping[str, Family], found: Repository) -> None:
    known = {hub: name for name, family in families.items() for hub in _names_of(family)}
    places: dict[str, None] = {}
    for file in _texts(folder):
        text = file.read_text(encoding="utf-8", errors="replace")
        found.backends += [name for name, sign in _BACKENDS.items() if sign.search(text) and name not in found.backends]
        for hub_id in _HUB_ID.findall(text):
            model = known.get(hub_id.lower()) or known.get(hub_id.rpartition("/")[2].lower())
            if model is not None and model not in found.models:
                found.models.append(model)
        if file.suffix == ".py" and re.search(r"^\s*(?:from|import)\s+(?:lmdeploy|transformers)\b", text, re.MULTILINE):
            places[file.relative_to(folder).parts[0]] = None
    found.code = list(places)


def _names_of(family: Family) -> Iterator[str]:
    yield family.hub_id.lower()
    yield from (name.lower() for name in family.models)


def _texts(folder: Path) -> Iterator[Path]:
    """Files of the repository's own that may say something, no more than is looked through in seconds."""
    waiting, left = [folder], _MOST_FILES
    while waiting and left > 0:
        for each in sorted(waiting.pop().iterdir()):
            if each.name.startswith(".") or each.name in _PASSED_OVER or each.is_symlink():
                continue
            if each.is_dir():
                if not (each / "pyvenv.cfg").exists():
                    waiting.append(each)
            elif (each.suffix in _CODE or "ockerfile" in each.name) and each.stat().st_size < _LARGEST:
                left -= 1
                yield each

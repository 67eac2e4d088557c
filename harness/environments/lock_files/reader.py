"""Reads whichever file a matrix names as a lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.core.files import LARGEST_JSON, read_bounded, shaped
from harness.environments.interpreters import find_interpreter
from harness.environments.lock_files.dockerfile import python_of, read_dockerfile
from harness.environments.lock_files.kinds import NAMED_BY, Kind, kind_of
from harness.environments.lock_files.locks import (
    load_json,
    load_toml,
    read_pipfile_lock,
    read_poetry_lock,
    read_pylock,
    read_uv_lock,
)
from harness.environments.lock_files.markers import exact_version, lowest_python
from harness.environments.lock_files.requirements import Lines, read_lines
from harness.environments.resolve import ResolveRequest
from harness.matrix.deployed import Deployed, UnreadableLock
from harness.matrix.schema import end_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date
    from pathlib import Path

    from harness.environments.resolve import Resolver
    from harness.process.child import Limits

_ASKED = ("lmdeploy", "transformers")
"""Packages whose versions a combination is called by."""


@dataclass(frozen=True, slots=True)
class LockFiles:
    """Reads a project's own files; what a file leaves open is asked of the resolver."""

    resolver: Resolver
    limits: Limits

    def python(self, file: Path) -> str | None:
        """The Python that the project says: in ``.python-version``, in the file itself, or in its project's file."""
        with shaped(file, UnreadableLock):
            return self._python(file)

    @staticmethod
    def _python(file: Path) -> str | None:
        beside = file.parent / ".python-version"
        if beside.is_file():
            found = re.search(
                r"^(?:cpython[@-])?(3\.\d+(?:\.\d+)?)", beside.read_text("utf-8", "replace"), re.MULTILINE
            )
            if found is not None:
                return found[1]
        return _python_in(file) or _python_of_project(file.parent / "pyproject.toml")

    def read(
        self, file: Path, python: str, groups: Sequence[str], extras: Sequence[str], as_of: date | None
    ) -> Deployed:
        """What the file deploys.

        Raises:
            UnreadableLock: it cannot be read, holds no lmdeploy, or fits no versions at all.
            UvFailure: what it leaves open could not be asked.
            NoInterpreter: this machine has no such Python.
        """
        kind = kind_of(file.name)
        if kind is None:
            raise UnreadableLock(f"{file.name} is no file of packages that is understood; name {NAMED_BY}")
        if (groups or extras) and kind in {Kind.REQUIREMENTS, Kind.CONDA, Kind.DOCKERFILE}:
            raise UnreadableLock(f"{file.name} has no groups and no extras; drop them")
        if extras and kind is Kind.PIPFILE:
            raise UnreadableLock(f"{file.name} has groups and no extras; drop those")
        lines = Lines(python)
        with shaped(file, UnreadableLock):
            _read(kind, file, lines, groups, extras)
            requirements = tuple(dict.fromkeys(lines.requirements))
            names = {str(canonicalize_name(Requirement(each).name)) for each in requirements}
        if "lmdeploy" not in names:
            where = "; is it in a group or an extra? name it as `groups:` or `extras:`" if kind.is_lock else ""
            raise UnreadableLock(f"{file.name} has no lmdeploy, so there is nothing to test{where}")
        found = Deployed(
            requirements=requirements,
            complete=kind.is_lock,
            constraints=tuple(dict.fromkeys(lines.constraints)),
            indexes=tuple(dict.fromkeys(lines.indexes)),
            untested=tuple(dict.fromkeys(lines.untested)),
        )
        return _with_versions(found, self._versions(file, found, python, as_of))

    def _versions(self, file: Path, found: Deployed, python: str, as_of: date | None) -> dict[str, str]:
        pins = (exact_version(each) for each in (*found.requirements, *found.constraints))
        known = {str(canonicalize_name(pin[0])): pin[1] for pin in pins if pin is not None}
        if all(each in known for each in _ASKED):
            return {each: known[each] for each in _ASKED}
        request = ResolveRequest(
            str(find_interpreter(python)),
            tuple(sorted(found.requirements)),
            exclude_newer=None if as_of is None else end_of(as_of),
            complete=found.complete,
            constraints=tuple(sorted(found.constraints)),
            indexes=found.indexes,
        )
        resolution = self.resolver.resolve(request, self.limits)
        if resolution.failure is not None:
            if not resolution.failure.of_versions:
                raise resolution.failure
            raise UnreadableLock(f"{file.name}: uv finds no versions that fit it: {resolution.failure.message.strip()}")
        stack = resolution.lock.stack if resolution.lock is not None else {}
        lacking = [each for each in _ASKED if each not in stack]
        if lacking:
            raise UnreadableLock(f"{file.name} leads to no {' and no '.join(lacking)}, so there is nothing to test")
        return {each: stack[each] for each in _ASKED}


def named_in(file: Path, names: Collection[str], python: str) -> tuple[Requirement, ...]:
    """These packages as a file names them, in whichever group: exactly, by a lock; nothing is resolved.

    Raises:
        UnreadableLock: it cannot be read.
    """
    kind = kind_of(file.name)
    if kind is None:
        raise UnreadableLock(f"{file.name} is no file of packages that is understood; name {NAMED_BY}")
    if kind in {Kind.UV, Kind.PYLOCK, Kind.POETRY}:
        content = load_toml(file)
        packages = content.get("packages" if kind is Kind.PYLOCK else "package", ())
        texts = [f"{each['name']}=={each['version']}" for each in packages if {"name", "version"} <= each.keys()]
    else:
        lines = Lines(python)
        _read(kind, file, lines, (), ())
        texts = lines.requirements
    found = {str(each): each for each in map(Requirement, texts)}
    return tuple(each for each in found.values() if canonicalize_name(each.name) in names)


def _with_versions(found: Deployed, versions: dict[str, str]) -> Deployed:
    return Deployed(found.requirements, found.complete, found.constraints, found.indexes, versions, found.untested)


def _read(kind: Kind, file: Path, lines: Lines, groups: Sequence[str], extras: Sequence[str]) -> None:
    match kind:
        case Kind.UV:
            read_uv_lock(file, lines, groups, extras)
        case Kind.PYLOCK:
            read_pylock(file, lines, groups, extras)
        case Kind.POETRY:
            read_poetry_lock(file, lines, groups, extras)
        case Kind.PIPFILE:
            read_pipfile_lock(file, lines, groups)
        case Kind.REQUIREMENTS:
            lines.read(file)
        case Kind.CONDA:
            _read_conda(file, lines)
        case Kind.DOCKERFILE:
            read_dockerfile(file, _text(file), lines)
        case Kind.PROJECT:
            _read_project(file, lines, groups, extras)


def _read_project(file: Path, lines: Lines, groups: Sequence[str], extras: Sequence[str]) -> None:
    """Take the dependencies of a project that has no lock."""
    content = load_toml(file)
    project = content.get("project", {})
    texts = list(project.get("dependencies", ()))
    for extra in extras:
        texts += _member(file, project.get("optional-dependencies", {}), "extra", extra)
    for group in groups:
        texts += _member(file, content.get("dependency-groups", {}), "group", group)
    for text in texts:
        if isinstance(text, str):
            lines.take(text, file.name)


def _member(file: Path, table: dict[str, Any], what: str, name: str) -> list[Any]:
    if name not in table:
        raise UnreadableLock(f"{file.name} has no {what} '{name}'; it has {', '.join(table) or 'none'}")
    return list(table[name])


def _read_conda(file: Path, lines: Lines) -> None:
    """Take the pip section of a conda environment."""
    pip: list[str] = []
    for each in _conda(file).get("dependencies") or ():
        if isinstance(each, dict):
            pip += [str(one) for one in each.get("pip") or ()]
        elif re.split(r"[=<>! ]", str(each))[0] not in {"python", "pip"}:
            lines.untested.append(f"{each} (conda)")
    if not pip:
        raise UnreadableLock(f"{file.name} has no pip section; conda's own packages are not tested")
    read_lines(enumerate(pip, 1), lines, file)


def _conda(file: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load(_text(file))
    except YAMLError as error:
        raise UnreadableLock(f"{file.name} is no YAML: {str(error).splitlines()[0]}") from error
    return content if isinstance(content, dict) else {}


def _python_in(file: Path) -> str | None:
    kind = kind_of(file.name)
    if kind is Kind.DOCKERFILE:
        return python_of(_text(file))
    if kind is Kind.CONDA:
        pins = (
            re.fullmatch(r"python\s*={1,2}\s*(3\.\d+(?:\.\d+)?).*", str(each))
            for each in _conda(file).get("dependencies") or ()
        )
        return next((pin[1] for pin in pins if pin is not None), None)
    if kind is Kind.PIPFILE:
        told = load_json(file).get("_meta", {}).get("requires", {})
        found = told.get("python_full_version") or told.get("python_version")
        return str(found) if found else None
    if kind in {Kind.UV, Kind.PYLOCK, Kind.POETRY}:
        content = load_toml(file)
        wanted = content.get("requires-python") or content.get("metadata", {}).get("python-versions") or ""
        return lowest_python(_pep440(str(wanted)))
    return None


def _python_of_project(file: Path) -> str | None:
    if not file.is_file():
        return None
    content = load_toml(file)
    wanted = content.get("project", {}).get("requires-python")
    wanted = wanted or content.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python")
    return lowest_python(_pep440(str(wanted))) if wanted else None


def _pep440(wanted: str) -> str:
    """Poetry's ``^3.11`` and ``~3.11`` in the words of PEP 440."""
    caret = re.fullmatch(r"\^(3\.\d+(?:\.\d+)?)", wanted.strip())
    if caret is not None:
        return f">={caret[1]},<4"
    return re.sub(r"^~(?=\d)", "~=", wanted.strip())


def _text(file: Path) -> str:
    try:
        return read_bounded(file, LARGEST_JSON).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UnreadableLock(f"{file} cannot be read: {error}") from error

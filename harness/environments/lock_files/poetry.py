"""Which packages of a ``poetry.lock`` Poetry installs.

From its version 2.1 the lock says of each package which groups want it and under which markers. Earlier ones do not, so
the dependencies are followed from the project's file, as Poetry itself does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.environments.lock_files.markers import holds
from harness.matrix.deployed import UnreadableLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MAIN = "main"
_Package = dict[str, Any]


def chosen_packages(  # noqa: PLR0913, PLR0917 - what a choice depends on
    file: Path,
    lock: Mapping[str, Any],
    project: Mapping[str, Any],
    python: str,
    groups: Sequence[str],
    extras: Sequence[str],
) -> list[_Package]:
    """The packages of the main group, of the other groups that are named, and of the extras.

    Raises:
        UnreadableLock: it is no lock of Poetry, or lacks what is needed to tell.
    """
    packages = lock.get("package")
    if not isinstance(packages, list) or not all({"name", "version"} <= each.keys() for each in packages):
        raise UnreadableLock(f"{file} is no lock of Poetry: it lists no packages with name and version")
    _demand(file, "group", groups, _groups(packages, project))
    _demand(file, "extra", extras, {*lock.get("extras", {}), *_extras(project)})
    try:
        if all("groups" in each for each in packages):
            return [each for each in packages if _wanted(each, python, groups, extras, lock)]
        if not project:
            raise UnreadableLock(f"{file} says no groups, and there is no pyproject.toml beside it to follow")
        return _followed(packages, project, python, groups, extras)
    except InvalidMarker as error:
        raise UnreadableLock(f"{file}: {error}") from error


def _demand(file: Path, what: str, asked: Sequence[str], known: set[str]) -> None:
    unknown = next((each for each in asked if each not in known), None)
    if unknown is not None:
        raise UnreadableLock(f"{file.name} has no {what} '{unknown}'; it has {', '.join(sorted(known)) or 'none'}")


def _groups(packages: Sequence[_Package], project: Mapping[str, Any]) -> set[str]:
    poetry = project.get("tool", {}).get("poetry", {})
    said = {*poetry.get("group", {}), *project.get("dependency-groups", {})}
    said |= {"dev"} if "dev-dependencies" in poetry else set()
    return said | {group for each in packages for group in each.get("groups", ())}


def _extras(project: Mapping[str, Any]) -> set[str]:
    poetry = project.get("tool", {}).get("poetry", {})
    return {*poetry.get("extras", {}), *project.get("project", {}).get("optional-dependencies", {})}


def _wanted(
    package: _Package, python: str, groups: Sequence[str], extras: Sequence[str], lock: Mapping[str, Any]
) -> bool:
    asked = [each for each in package["groups"] if each in {MAIN, *groups}]
    if not asked:
        return False
    if package.get("optional") and not _of_extras(package, extras, lock):
        return False
    markers = package.get("markers")
    if isinstance(markers, dict):
        return any(holds(markers.get(group), python, extras) for group in asked)
    return holds(markers, python, extras)


def _of_extras(package: _Package, extras: Sequence[str], lock: Mapping[str, Any]) -> bool:
    """Whether an extra that is asked for leads to an optional package: by its markers, or by the lock's table."""
    if "extra" in str(package.get("markers", "")):
        return bool(extras)  # the markers themselves say which
    named = (each for extra in extras for each in lock.get("extras", {}).get(extra, ()))
    return package["name"] in {str(each).split(" ")[0] for each in named}


def _followed(
    packages: Sequence[_Package],
    project: Mapping[str, Any],
    python: str,
    groups: Sequence[str],
    extras: Sequence[str],
) -> list[_Package]:
    by_name: dict[str, list[_Package]] = {}
    for each in packages:
        by_name.setdefault(str(canonicalize_name(each["name"])), []).append(each)
    found: dict[tuple[str, str], _Package] = {}
    waiting = [name for name, marker in _roots(project, groups, extras) if holds(marker, python, extras)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        plain, _, extra = name.partition("[")
        if name in seen:
            continue
        seen.add(name)
        for package in by_name.get(plain, ()):
            found[plain, package["version"]] = package
            optional = {
                str(canonicalize_name(str(each).split(" ")[0]))
                for each in package.get("extras", {}).get(extra.rstrip("]"), ())
            }
            for needed, told in package.get("dependencies", {}).items():
                waiting += _needed(str(canonicalize_name(needed)), told, python, optional)
    return [each for each in packages if (str(canonicalize_name(each["name"])), each["version"]) in found]


def _needed(name: str, told: Any, python: str, optional: set[str]) -> Iterator[str]:  # noqa: ANN401 - as the lock has it
    for each in told if isinstance(told, list) else [told]:
        table = each if isinstance(each, dict) else {}
        marker = str(table.get("markers", ""))
        if table.get("optional") or "extra ==" in marker:
            if name not in optional:
                continue
            marker = ""
        if holds(marker, python):
            yield name
            yield from (f"{name}[{extra}]" for extra in table.get("extras", ()))


def _roots(project: Mapping[str, Any], groups: Sequence[str], extras: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the project asks for: names, those with extras written like ``name[extra]``, and their markers."""
    standard = project.get("project", {})
    told = project.get("tool", {}).get("poetry", {})
    texts = list(standard.get("dependencies", ()))
    texts += [text for extra in extras for text in standard.get("optional-dependencies", {}).get(extra, ())]
    texts += [
        text
        for group in groups
        for text in project.get("dependency-groups", {}).get(group, ())
        if isinstance(text, str)
    ]
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # Poetry would not have made a lock of it
        name = str(canonicalize_name(requirement.name))
        yield from ((each, str(requirement.marker or "")) for each in _with_extras(name, requirement.extras))
    tables = [
        told.get("dependencies", {}),
        *(told.get("group", {}).get(each, {}).get("dependencies", {}) for each in groups),
    ]
    tables += [told.get("dev-dependencies", {})] if "dev" in groups else []
    of_extras = {str(canonicalize_name(name)) for extra in extras for name in told.get("extras", {}).get(extra, ())}
    for table in tables:
        for raw, said in table.items():
            name = str(canonicalize_name(raw))
            options = said if isinstance(said, dict) else {}
            if name == "python" or (options.get("optional") and name not in of_extras):
                continue
            yield from (
                (each, str(options.get("markers", ""))) for each in _with_extras(name, options.get("extras", ()))
            )


def _with_extras(name: str, extras: Any) -> list[str]:  # noqa: ANN401 - a list of Poetry's, a set of PEP 508
    return [name, *(f"{name}[{each}]" for each in extras)]

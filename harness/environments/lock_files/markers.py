"""Environment markers, settled for a Python on this platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.markers import Environment, Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Collection

_OFFERED = ("3.10", "3.11", "3.12", "3.13")
"""Pythons that the probes run under."""


def environment_of(python: str) -> Environment:
    """What markers ask for, on a Python of that version."""
    parts = python.split(".")
    full = python if len(parts) > 2 else f"{python}.0"  # noqa: PLR2004 - with its patch
    found = default_environment()
    found["python_version"] = ".".join(parts[:2])
    found["python_full_version"] = found["implementation_version"] = full
    return found


def holds(marker: Marker | str | None, python: str, extras: Collection[str] = ()) -> bool:
    """Whether a marker holds there, without an extra or with one of these."""
    if marker is None or not str(marker).strip():
        return True
    asked = Marker(str(marker))
    environment = environment_of(python)
    return any(asked.evaluate({**environment, "extra": extra}) for extra in ("", *extras))  # type: ignore[dict-item]  # their typed dictionary


def settled(text: str, python: str) -> str | None:
    """A requirement without its marker; None where it does not hold there."""
    requirement = Requirement(text)
    if not holds(requirement.marker, python):
        return None
    requirement.marker = None
    return str(requirement)


def exact_version(text: str) -> tuple[str, str] | None:
    """Name and version of a requirement that names exactly one."""
    try:
        requirement = Requirement(text)
        (pin,) = requirement.specifier
        version = str(Version(pin.version))
    except (InvalidRequirement, InvalidVersion, ValueError):
        return None
    return (requirement.name, version) if pin.operator in {"==", "==="} else None


def lowest_python(wanted: str) -> str | None:
    """The oldest Python of those offered in a range such as ``>=3.11``; None where none is in it."""
    try:
        bounds = SpecifierSet(wanted)
    except InvalidSpecifier:
        return None
    fitting = (each for each in _OFFERED if bounds.contains(f"{each}.99") or bounds.contains(each))
    return next(fitting, None)

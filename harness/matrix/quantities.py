"""Durations, sizes and versions as people write them."""

from __future__ import annotations

import re
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from harness.matrix.document import WrittenNumber

_DURATION = re.compile(r"(?:(?P<h>\d{1,4})h)?\s*(?:(?P<m>\d{1,6})(?:min|m))?\s*(?:(?P<s>\d{1,8}(?:\.\d{1,3})?)s)?")
_SIZE = re.compile(r"(?P<number>\d{1,6}(?:\.\d{1,3})?)\s*(?P<unit>[KMGT]i?B)", re.IGNORECASE)
_UNITS_IN_BYTES = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_PYTHON = re.compile(r"3\.\d{1,2}(?:\.\d{1,2})?")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,78}[a-z0-9])?")


def as_text(value: object) -> object:
    """A version that YAML took for a number, as it was written; anything else unchanged."""
    if isinstance(value, WrittenNumber):
        return value.text
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def seconds(text: object) -> object:
    """``90s``, ``5m``, ``1h30m`` in seconds.

    Raises:
        ValueError: not such a duration, or zero.
    """
    if isinstance(text, float) and not isinstance(text, WrittenNumber):
        return text  # already validated
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    total = 3600 * int(match["h"] or 0) + 60 * int(match["m"] or 0) + float(match["s"] or 0) if match else 0.0
    if total <= 0:
        raise ValueError("not a duration; write a number with its unit: 90s, 5m or 1h30m")
    return total


def gibibytes(text: object) -> object:
    """``8GiB``, ``512MiB``, ``16 GB`` in GiB.

    Raises:
        ValueError: not such a size, or zero.
    """
    if isinstance(text, float) and not isinstance(text, WrittenNumber):
        return text
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    size = float(match["number"]) * _UNITS_IN_BYTES[match["unit"].lower()] / 2**30 if match else 0.0
    if size <= 0:
        raise ValueError("not a size; write a number with its unit: 8GiB or 512MiB")
    return size


OLDEST_PYTHON = 8
"""Minor version of the oldest that uv installs."""


def python_version(text: str) -> str:
    """A python as uv finds one.

    Raises:
        ValueError: neither ``3.11`` nor ``3.11.7``.
    """
    if not _PYTHON.fullmatch(text):
        raise ValueError(f"'{text}' is not a python version; write e.g. 3.11 or 3.11.7")
    minor = text.split(".")[1]
    if int(minor) < OLDEST_PYTHON:
        meant = "; in quotes, '3.10' stays what it is" if minor == "1" else ""
        raise ValueError(f"there is no python {text} to test on, 3.{OLDEST_PYTHON} is the oldest{meant}")
    return text


def requirement(text: str) -> str:
    """A PEP 508 requirement, checked.

    Raises:
        ValueError: not a requirement; the message says where it stops making sense.
    """
    try:
        Requirement(text)
    except InvalidRequirement as error:
        why = str(error).split("\n", 1)[0]
        raise ValueError(f"'{text}' is not a requirement ({why}); write e.g. numpy==2.3.5 or numpy<2.4") from None
    return text


def version_range(text: str) -> str:
    """A PEP 440 range, normalised.

    Raises:
        ValueError: not a range.
    """
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier:
        raise ValueError(f"'{text}' is not a range; write e.g. '>=550' or '<0.15'") from None


def package_name(text: str) -> str:
    """A package name, normalised.

    Raises:
        ValueError: not a bare name.
    """
    requirement(text)
    if Requirement(text).name != text:
        raise ValueError(f"'{text}' is more than a package name; write the name alone")
    return canonicalize_name(text)


def plain_name(text: str) -> str:
    """A name that can stand in a file name, a shell line and an id.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(f"'{text}' is not a name; use small letters, digits, '.', '_' and '-'")
    return text


def one_or_many(value: object) -> object:
    """A single value as a list of one."""
    return value if isinstance(value, (list, tuple)) or value is None else [value]


VERSION_SCHEMA = {"type": ["string", "number"]}

Duration = Annotated[
    float, BeforeValidator(seconds), WithJsonSchema({"type": "string", "examples": ["90s", "5m", "1h30m"]})
]
"""Seconds."""
Size = Annotated[float, BeforeValidator(gibibytes), WithJsonSchema({"type": "string", "examples": ["8GiB"]})]
"""GiB."""
RequirementText = Annotated[str, AfterValidator(requirement)]
VersionRange = Annotated[str, AfterValidator(version_range)]
PackageName = Annotated[str, AfterValidator(package_name)]
PlainName = Annotated[
    str, AfterValidator(plain_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})
]
PythonVersion = Annotated[str, BeforeValidator(as_text), AfterValidator(python_version), WithJsonSchema(VERSION_SCHEMA)]

"""What the lines of a file pin: one reader for each kind of file that names Python packages with their versions.

A reader sees lines of one side of a change, old or new, with or without the lines between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable  # noqa: TC003 - in a type alias and a data class
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from harness.matrix.versions import LONGEST

Line: TypeAlias = tuple[int, str]
"""Number and text."""
BREAK = "[…]"
"""A line that stands for those that are not shown."""


@dataclass(frozen=True, slots=True)
class PinnedVersion:
    """A package held at a version, or in a range."""

    line: int
    package: str
    """Normalised name."""
    wanted: SpecifierSet
    guessed: bool = False
    """Its name was taken from a variable's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file."""

    read: Callable[[Iterable[Line]], tuple[PinnedVersion, ...]]
    locked: bool = False
    """It lists whole stacks, so that a package may appear in it without anybody having asked for it."""
    silent: re.Pattern[str] = re.compile(r"(?!)")
    """Lines that say nothing of versions, though they changed."""
    loud: re.Pattern[str] = re.compile(r"(?=\s*\S)")
    """Lines that say something of packages; what is neither pinned nor silent among them is not understood."""


_QUOTED = re.compile(r"""(["'])(?P<text>[A-Za-z0-9][^"']*)\1""")
_TABLE_PIN = re.compile(
    r"""\s*["']?(?P<name>[A-Za-z0-9][\w.-]*)["']?\s*=\s*(?:\{.*?version\s*=\s*)?["'](?P<spec>[^"']+)["']"""
)
_NO_PACKAGES = frozenset(
    {"version", "requires-python", "python", "name", "target-version", "python-version", "python_version", "minversion"}
)
"""Keys of project files that are written like a package with its version."""
_BUILDING = re.compile(r"\s*requires\s*=\s*\[")
"""What a build needs is not what runs."""
_LOCK_LINE = re.compile(r"""\s*(?P<key>name|version)\s*=\s*["'](?P<value>[^"']+)["']""")
_JSON_NAME = re.compile(r'\s*"(?P<name>[A-Za-z0-9][\w.-]*)"\s*:\s*\{')
_JSON_VERSION = re.compile(r'\s*"version"\s*:\s*"(?P<spec>[=<>~!][^"]*)"')
_WORD = re.compile(
    r"""(?<![\w./:=@-])(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w,. -]*\])?\s?(?P<spec>(?:===?|~=|!=|[<>]=?)\s?[\w.*+!-]+"""
    r"(?:\s?,\s?(?:===?|~=|!=|[<>]=?)\s?[\w.*+!-]+)*)"
)
_VARIABLE = re.compile(
    r"""\b(?P<name>[A-Za-z][A-Za-z0-9_]*?)_VERSION\s*[=: ]\s*["']?v?(?P<version>\d[\w.+!-]*)""", re.IGNORECASE
)
_IN_COMMENT = re.compile(r"\s*#|\s*$")
_ELSEWHERE = r"\s*(?:git|rev)\s*=|.*\{.*\b(?:git|rev|branch|url|path|index)\s*=|.*@\s*(?:git\+|https?:|file:)"
"""A package that comes from somewhere else than its releases."""


def kind_of(path: str) -> Kind | None:
    """How a file is read; None: it is not of a kind that is."""
    file = PurePosixPath(path)
    name = file.name.lower()
    for pattern, kind in _KINDS:
        if re.fullmatch(pattern, name):
            return kind
    inside = {part.lower() for part in file.parent.parts}
    return _REQUIREMENTS if file.suffix in {".txt", ".in"} and inside & {"requirements", "constraints"} else None


def requirement_pins(lines: Iterable[Line]) -> tuple[PinnedVersion, ...]:
    """Of a requirements file."""
    found = []
    for number, line in lines:
        text = re.split(r"\s#|\s--|\s*\\$", line.strip())[0].strip()
        if text and not text.startswith(("#", "-")):
            found += _pin(number, text)
    return tuple(found)


def _table_pins(lines: Iterable[Line]) -> tuple[PinnedVersion, ...]:
    """Of a project file: requirements in quotes, and tables of names and versions."""
    found: list[PinnedVersion] = []
    building = False
    for number, line in lines:
        building = bool(_BUILDING.match(line)) or (building and not line.strip().startswith(("]", "[")))
        if building:
            building = "]" not in line
            continue
        table = _TABLE_PIN.match(line)
        if table is None:
            for quoted in _QUOTED.finditer(line.split(" #")[0]):
                found += _pin(number, quoted["text"])
        elif table["name"].lower() not in _NO_PACKAGES:
            found += _pin(number, f"{table['name']}{pep440(table['spec'])}")
    return tuple(found)


def _locked_pins(lines: Iterable[Line]) -> tuple[PinnedVersion, ...]:
    """Of a lock in TOML."""
    found: list[PinnedVersion] = []
    name = ""
    for number, line in lines:
        if line.startswith("["):
            name = ""
        told = _LOCK_LINE.match(line)
        if told is None:
            continue
        if told["key"] == "name":
            name = told["value"]
        elif name:
            found += _pin(number, f"{name}=={told['value']}")
            name = ""
    return tuple(found)


def _json_pins(lines: Iterable[Line]) -> tuple[PinnedVersion, ...]:
    """Of Pipfile.lock."""
    found: list[PinnedVersion] = []
    name = ""
    for number, line in lines:
        opened, told = _JSON_NAME.match(line), _JSON_VERSION.match(line)
        if opened is not None:
            name = opened["name"]
        elif line.startswith("["):
            name = ""
        elif told is not None and name:
            found += _pin(number, f"{name}{told['spec']}")
            name = ""
    return tuple(found)


def words_pinned(lines: Iterable[Line]) -> tuple[PinnedVersion, ...]:
    """Of commands: every word that is a package with a version, and variables named after a package."""
    found: list[PinnedVersion] = []
    for number, line in lines:
        if _IN_COMMENT.match(line):
            continue
        for word in _WORD.finditer(line):
            found += _pin(number, f"{word['name']}{word['spec']}")
        for variable in _VARIABLE.finditer(line):
            named = _pin(number, f"{variable['name'].replace('_', '-')}=={variable['version']}")
            found += [replace(each, guessed=True) for each in named]
    return tuple(found)


def without_pins(line: str, known: Collection[str]) -> str:
    """A line of commands without what it pins: two that are equal then differ in nothing else.

    Args:
        line: the line.
        known: the packages that a variable may be named after.
    """

    def unnamed(variable: re.Match[str]) -> str:
        package = canonicalize_name(variable["name"].replace("_", "-"))
        return variable["name"] if package in known else variable[0]

    return _VARIABLE.sub(unnamed, _WORD.sub(r"\g<name>", line)).strip()


def pep440(spec: str) -> str:
    """A range in Poetry's words (``^1.2``, ``~1.2``, ``1.2.*``) in those of PEP 440."""
    spec = spec.strip()
    caret = re.fullmatch(r"\^(\d{1,9}(?:\.\d{1,9})*)", spec)
    if caret is not None:
        parts = [int(part) for part in caret[1].split(".")]
        place = next((number for number, part in enumerate(parts) if part), len(parts) - 1)
        upper = [*parts[:place], parts[place] + 1]
        return f">={caret[1]},<{'.'.join(map(str, upper))}"
    tilde = re.fullmatch(r"~(\d{1,9}(?:\.\d{1,9})*)", spec)
    if tilde is not None:
        parts = [int(part) for part in tilde[1].split(".")]
        upper = [parts[0], parts[1] + 1] if len(parts) > 1 else [parts[0] + 1]
        return f">={tilde[1]},<{'.'.join(map(str, upper))}"
    return f"=={spec}" if re.match(r"\d", spec) else spec


def _pin(number: int, text: str) -> list[PinnedVersion]:
    """``text`` as a pin if it is one: most strings of a project file are not."""
    if len(text) > LONGEST:
        return []
    try:
        requirement = Requirement(text)
        if requirement.specifier and not requirement.url:
            return [PinnedVersion(number, str(canonicalize_name(requirement.name)), requirement.specifier)]
    except (InvalidRequirement, InvalidSpecifier):
        pass
    return []


_NOWHERE = re.compile(r"\s*(?:#.*|--hash\S*.*|\\)?\s*$")
_REQUIREMENTS = Kind(requirement_pins, silent=_NOWHERE)
_PROJECT = Kind(
    _table_pins,
    silent=_IN_COMMENT,
    loud=re.compile(rf"\s*(?:requires-python|python|url)\s*=|.*\{{\s*version\s*=|{_ELSEWHERE}"),
)
_LOCKED = Kind(
    _locked_pins,
    locked=True,
    loud=re.compile(
        r"\s*version\s*=|\s*source\s*=\s*\{\s*(?:registry|git|url|path|directory|editable)|\s*(?:resolved_)?reference\s*="
        r"|\s*commit-id\s*="
    ),
)
_JSON = Kind(_json_pins, locked=True, loud=re.compile(r'\s*"(?:version|ref|git|path|file)"\s*:'))
COMMANDS = Kind(words_pinned, silent=_IN_COMMENT)
"""Dockerfiles and whatever else runs pip."""
_PACKAGES_OF_CONDA = Kind(words_pinned, silent=re.compile(r"\s*(?:#.*|-\s*pip:?|name\s*:.*)?\s*$"))
_UNREAD = Kind(lambda _: ())
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"pyproject\.toml|pipfile|uv\.toml", _PROJECT),
    (r"uv\.lock|poetry\.lock|pdm\.lock|pylock(?:\..+)?\.toml", _LOCKED),
    (r"pipfile\.lock", _JSON),
    (r"setup\.cfg|tox\.ini", Kind(requirement_pins, silent=_IN_COMMENT, loud=re.compile(r"\s*python_requires\b"))),
    (r"setup\.py", Kind(_table_pins, silent=_IN_COMMENT)),
    (r".*(?:requirement|constraint).*\.(?:txt|in)", _REQUIREMENTS),
    (r"(?:.*\.)?(?:dockerfile|containerfile)(?:[.-].*)?", COMMANDS),
    (r"(?:.*[-_.])?environment(?:[-_.].*)?\.ya?ml|conda.*\.ya?ml", _PACKAGES_OF_CONDA),
    (r"conda-lock\.yml|pixi\.(?:lock|toml)|\.python-version|runtime\.txt|\.tool-versions|.*\.whl", _UNREAD),
)
"""By the file's name, in lower case; the first that fits counts."""

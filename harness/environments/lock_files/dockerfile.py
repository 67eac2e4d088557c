"""What the ``RUN pip install`` lines of a Dockerfile install."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from harness.environments.lock_files.requirements import logical_lines
from harness.matrix.deployed import UnreadableLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.environments.lock_files.requirements import Lines

_INSTALL = re.compile(r"^(?:.*\s)?(?:uv\s+)?(?:pip(?:3(?:\.\d+)?)?|python3?\s+-m\s+pip)\s+install\s+(?P<rest>.*)$")
_ANOTHER = re.compile(r"^(?:.*\s)?(?:uv\s+sync|poetry\s+install|pipenv\s+(?:install|sync)|conda\s+env\s+create)\b")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::?-(?P<default>[^}]*))?\}|(?P<plain>\w+))")
_SET = re.compile(r"(?P<name>\w+)(?:=(?P<value>\"[^\"]*\"|\S*))?")
_FILES = frozenset({"-r", "--requirement", "-c", "--constraint"})
_WITH_VALUE = _FILES | {
    *("-i", "--index-url", "--extra-index-url", "--index", "--default-index", "-f", "--find-links", "-e", "--editable"),
    *("-t", "--target", "--prefix", "--root", "--python", "-p", "--cache-dir", "--timeout", "--retries"),
    *("--trusted-host", "--proxy", "--platform", "--python-version", "--progress-bar", "--upgrade-strategy"),
    *("--only-binary", "--no-binary", "--index-strategy", "--torch-backend", "--link-mode"),
}
_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv", "poetry", "pipenv"})


def read_dockerfile(file: Path, text: str, into: Lines) -> None:
    """Take what its lines install; files that it names are looked for beside it.

    Raises:
        UnreadableLock: a line cannot be read, or nothing is installed with pip.
    """
    installs = 0
    others: list[str] = []
    for number, command in _commands(text):
        install = _INSTALL.match(command)
        if install is not None:
            installs += _take(file, number, install["rest"], into)
        elif another := _ANOTHER.match(command):
            others.append(f"{file.name}:{number}: {another[0].strip()}")
    if others and not installs:
        raise UnreadableLock(f"{others[0]} installs from a lock; name that lock instead of the {file.name}")
    if not installs:
        raise UnreadableLock(f"{file.name} has no line RUN pip install that says a package")
    into.untested += others


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """The shell commands of all ``RUN`` lines, with the variables filled that the file gives a value."""
    known: dict[str, str] = {}
    for number, line in logical_lines(text):
        word, _, rest = line.partition(" ")
        if word.upper() in {"ARG", "ENV"}:
            for found in _SET.finditer(rest):
                if found["value"] is not None:
                    known[found["name"]] = _filled(found["value"].strip('"'), known)
        elif word.upper() == "RUN":
            yield from ((number, _filled(each.strip(), known)) for each in re.split(r"&&|\|\||;", rest))


def python_of(text: str) -> str | None:
    """The Python of its last official base image; else the one that its commands call by name, where it is one."""
    found = re.findall(r"^FROM\s+(?:--\S+\s+)?(?:\S+/)?python:(3\.\d+)", text, re.MULTILINE | re.IGNORECASE)
    if found:
        return str(found[-1])
    called = {each for _, command in _commands(text) for each in re.findall(r"\b(?:python|pip)(3\.\d+)\b", command)}
    return called.pop() if len(called) == 1 else None


def _filled(text: str, known: dict[str, str]) -> str:
    """The text with the variables that the file itself gives a value."""

    def value(found: re.Match[str]) -> str:
        name = found["braced"] or found["plain"]
        return known.get(name) or found["default"] or found[0]

    return _VARIABLE.sub(value, text)


def _take(file: Path, number: int, command: str, into: Lines) -> bool:
    """Take one command's packages; whether it has any but the tools that install others."""
    place = f"{file.name}:{number}"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UnreadableLock(f"{place}: {error} in 'pip install {command}'") from None
    said = False
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word.startswith("-") and not (equals and name in _WITH_VALUE):
            value = words.pop(0) if name in _WITH_VALUE and words else ""
        if word.startswith("-"):
            if name in _FILES:
                value = str(_beside(file, value, place))
                said = True
            if value:
                into.option([name, value], file.parent, place)
        elif "$" in word:
            raise UnreadableLock(f"{place}: '{word}' depends on a variable without a value in {file.name}")
        elif word not in _TOOLS:
            into.take(word, place)
            said = True
    return said


def _beside(file: Path, name: str, place: str) -> Path:
    """A file of the build, which the image may have at another place."""
    for each in (file.parent / name.lstrip("/"), file.parent / name.rpartition("/")[2]):
        if each.is_file():
            return each.absolute()
    raise UnreadableLock(f"{place}: {name} is not beside {file.name}; name the requirements file itself")

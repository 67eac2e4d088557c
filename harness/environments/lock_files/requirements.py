"""Requirements files as pip reads them: includes, constraints, hashes, markers and indexes.

``requirements.txt``, and what stands like it in a conda environment and in a Dockerfile.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from harness.core.files import LARGEST_JSON, read_bounded
from harness.environments.lock_files.markers import holds
from harness.matrix.deployed import UnreadableLock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_VALUED = {
    "-r": "include",
    "--requirement": "include",
    "-c": "constrain",
    "--constraint": "constrain",
    "-i": "index",
    "--index-url": "index",
    "--extra-index-url": "index",
    "--index": "index",
    "--default-index": "index",
    "-f": "links",
    "--find-links": "links",
    "-e": "local",
    "--editable": "local",
}
"""Options with a value that say what is installed."""
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[= ]\S+|\s--(?:config-settings?|global-option)[= ]\S+")
_DEEPEST = 20


@dataclass
class Lines:
    """Requirement lines, gathered from files that include each other."""

    python: str
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)

    def read(self, file: Path, *, constrain: bool = False, depth: int = 0) -> None:
        """Take what a file says.

        Raises:
            UnreadableLock: it cannot be read; the message names file and line.
        """
        if depth > _DEEPEST:
            raise UnreadableLock(f"{file} includes itself")
        for number, line in logical_lines(_text(file)):
            place = f"{file.name}:{number}"
            try:
                words = shlex.split(line) if line.startswith("-") else [line]
            except ValueError as error:
                raise UnreadableLock(f"{place}: {error} in '{line}'") from None
            if words[0].startswith("-"):
                self.option(words, file.parent, place, constrain=constrain, depth=depth)
            else:
                self.take(_HASH.sub("", line), place, constrain=constrain)

    def option(self, words: list[str], folder: Path, place: str, *, constrain: bool = False, depth: int = 0) -> None:
        """Take what an option of pip says, with its value.

        Raises:
            UnreadableLock: a file that it names cannot be read.
        """
        name, equals, value = words[0].partition("=")
        if len(name) > 2 and not name.startswith("--"):  # noqa: PLR2004 - -rFILE, as pip takes it
            name, value, equals = name[:2], name[2:] + equals + value, "="
        does = _VALUED.get(name)
        if does is None:
            return  # how something is fetched or built, and nothing that is deployed
        value = value if equals else " ".join(words[1:2])
        if "$" in value:
            raise UnreadableLock(f"{place}: {name} takes its value from a variable, '{value}'; write it out")
        if does in {"include", "constrain"}:
            self.read(folder / value, constrain=constrain or does == "constrain", depth=depth + 1)
        elif does == "index":
            self.indexes.append(value)
        elif does == "local":
            self.untested.append(value)
        else:
            raise UnreadableLock(f"{place}: {name} is not understood; give the folder to uv as UV_FIND_LINKS")

    def take(self, text: str, place: str, *, constrain: bool = False) -> None:
        """Take a requirement.

        Raises:
            UnreadableLock: it is none.
        """
        if re.match(r"\.{0,2}/|\.$", text):
            self.untested.append(text)
            return
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            why = str(error).split("\n", 1)[0]
            raise UnreadableLock(f"{place}: '{text}' is not a requirement ({why})") from None
        if not holds(requirement.marker, self.python):
            return
        requirement.marker = None
        (self.constraints if constrain else self.requirements).append(str(requirement))


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, continued ones put together, without comments and blank ones."""
    begun, parts = 0, []
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw)
        begun = begun or number
        if line.endswith("\\"):
            parts.append(line[:-1].strip())
            continue
        whole = " ".join([*parts, line.strip()]).strip()
        if whole:
            yield begun, whole
        begun, parts = 0, []
    if parts:
        yield begun, " ".join(parts)


def read_lines(lines: Iterable[tuple[int, str]], into: Lines, file: Path) -> None:
    """Requirement lines that stand in another file, such as the pip section of a conda environment."""
    for number, line in lines:
        if line.startswith("-"):
            into.option(shlex.split(line), file.parent, f"{file.name}:{number}")
        else:
            into.take(line, f"{file.name}:{number}")


def _text(file: Path) -> str:
    try:
        return read_bounded(file, LARGEST_JSON).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UnreadableLock(f"{file} cannot be read: {error}") from error

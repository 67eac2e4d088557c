"""YAML read into plain data that remembers where every value stood.

Only what a hand-written configuration needs is understood: mappings with text keys, sequences, plain values,
anchors and aliases. Tags, merge keys, several documents in one file, recursion and aliases that multiply into
something huge are refused with their position.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Self

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from harness.core.files import read_bounded
from harness.matrix.problems import MatrixError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 50_000
"""Values in the file with every alias written out; stops alias bombs."""

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")
}


class WrittenNumber(float):
    """A number that remembers how it was written, so that the version ``3.10`` is not read as 3.1."""

    text: str

    def __new__(cls, text: str) -> Self:
        """The number ``text`` stands for."""
        number = super().__new__(cls, text)
        number.text = text
        return number


Plain = None | bool | int | str | WrittenNumber | list["Plain"] | dict[str, "Plain"]


@dataclass(slots=True)
class Node:
    """One value with its place in the file (line and column counted from 1)."""

    line: int
    column: int
    value: bool | int | str | WrittenNumber | list[Node] | dict[str, Node] | None = None
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each key of a mapping stands."""
    size: int = 1
    height: int = 1

    def plain(self) -> Plain:
        """The data alone."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


Path_ = tuple["str | int", ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file, its data and its places."""

    file: str
    root: Node

    def place(self, loc: Path_, *, of_key: bool = False) -> tuple[int, int, str]:
        """Line, column and readable path of ``loc``.

        Parts of ``loc`` that are not in the file (a missing key, a validator's own step) are passed over, so the
        answer is the innermost place that exists. With ``of_key`` the place of the last key instead of its value.
        """
        node = self.root
        line, column, path = node.line, node.column, ""
        for part in loc:
            if isinstance(node.value, dict) and isinstance(part, str) and part in node.value:
                key_place = node.keys[part]
                node = node.value[part]
                line, column = key_place if of_key else (node.line, node.column)
                path = f"{path}.{part}" if path else part
            elif isinstance(node.value, list) and isinstance(part, int) and 0 <= part < len(node.value):
                node = node.value[part]
                line, column = node.line, node.column
                path = f"{path}[{part}]"
        return line, column, path

    def problem(self, loc: Path_, message: str, hint: str = "", *, of_key: bool = False) -> Problem:
        """A problem at ``loc``."""
        line, column, path = self.place(loc, of_key=of_key)
        return Problem(self.file, line, column, path, message, hint)


def read_document(path: Path) -> Document:
    """The file as a document.

    Raises:
        MatrixError: the file cannot be read or is not the YAML described above.
    """
    name = str(path)
    try:
        raw = read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, too
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MatrixError([Problem(name, 1, 1, "", f"cannot be read: {reason}", "give the path of a file")]) from None
    return parse_document(raw, name)


def parse_document(raw: bytes, name: str) -> Document:
    """The bytes of a file as a document; ``name`` is what problems call it.

    Raises:
        MatrixError: not the YAML described above.
    """
    text = _decode(raw, name)
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        composed = yaml.compose(text)
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the character {chr(error.character)!r} may not stand in YAML"
        raise MatrixError([Problem(name, line, column, "", message, "remove it or write it as an escape")]) from None
    except YAMLError as error:
        raise MatrixError([_syntax_problem(error, name)]) from None
    except (ValueError, OverflowError):
        message = "not valid YAML: an escape in double quotes names no character"
        raise MatrixError([Problem(name, *_last_place(text), "", message, "check the quotes after this")]) from None
    if composed is None:
        raise MatrixError([Problem(name, 1, 1, "", "the file is empty")])
    reading = _Reading(name)
    root = reading.node(composed)
    if reading.problems:
        raise MatrixError(reading.problems)
    return Document(name, root)


def _decode(raw: bytes, name: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise MatrixError([Problem(name, line, column, "", message, "save the file as UTF-8")]) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _last_place(text: str) -> tuple[int, int]:
    """Where the last thing stands that can be read."""
    line, column = 1, 1
    with suppress(ValueError, OverflowError):
        for event in YAML(typ="safe", pure=True).parse(text):
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
    return line, column


def _syntax_problem(error: YAMLError, name: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    context = getattr(error, "context", None)
    if isinstance(error, MaxDepthExceededError):
        return Problem(name, line, column, "", f"nested deeper than {MAX_DEPTH} levels", "flatten the file")
    if "another document" in message:
        return Problem(name, line, column, "", "a second document starts here", "keep one document per file")
    if "undefined alias" in message:
        anchor = message.rsplit(" ", 1)[-1].strip("'")
        hint = f"define &{anchor} before it is used"
        return Problem(name, line, column, "", f"the alias *{anchor} has no anchor", hint)
    if "<document start>" in message:
        message = "this belongs to no key"
    what = f"not valid YAML: {message}" + (f" {context}" if context else "")
    hint = "indent with spaces, not tabs" if "\\t" in message else "check indentation, quotes and brackets here"
    return Problem(name, line, column, "", what, hint)


class _Reading:
    """Turns composed nodes into :class:`Node`: each once, however many aliases lead to it."""

    def __init__(self, name: str) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._read: dict[int, Node | None] = {}
        """By identity; None while it is being read."""

    def node(self, composed: ScalarNode | MappingNode | SequenceNode) -> Node:
        """The node, with everything in it.

        Raises:
            MatrixError: it contains itself, or its aliases multiply into something huge.
        """
        place = _place(composed)
        if id(composed) in self._read:
            known = self._read[id(composed)]
            if known is None:
                self._stop(place, f"the alias *{composed.anchor} contains itself", "write the value out")
            return known
        self._read[id(composed)] = None
        self._refuse_tag(composed)
        node = Node(*place)
        if isinstance(composed, ScalarNode):
            node.value = _scalar(composed)
        elif isinstance(composed, SequenceNode):
            node.value = [self.node(item) for item in composed.value]
            _measure(node, node.value)
        else:
            node.value = self._members(composed, node)
            _measure(node, node.value.values())
        if node.size > MAX_NODES or node.height > MAX_DEPTH + 1:
            self._stop(place, "the aliases of this file multiply into something huge", "write the values out")
        self._read[id(composed)] = node
        return node

    def _members(self, composed: MappingNode, node: Node) -> dict[str, Node]:
        members: dict[str, Node] = {}
        for written, value in composed.value:
            place = _place(written)
            key = written.value if isinstance(written, ScalarNode) else ""
            inner = self.node(value)
            self._refuse_tag(written)
            if not key:
                self._note(place, "a key must be text", "write `name: value`")
            elif key == "<<":
                self._note(place, "merge keys are not supported", "write the keys out")
            elif key in members:
                message = f"the key '{key}' stands here a second time; first on line {node.keys[key][0]}"
                self._note(place, message, "keep one of the two")
            else:
                members[key], node.keys[key] = inner, place
        return members

    def _refuse_tag(self, composed: ScalarNode | MappingNode | SequenceNode) -> None:
        if str(composed.tag) not in _PLAIN_TAGS:
            message = f"the tag {composed.tag} is not supported"
            self._note(_place(composed), message, "remove the tag and write the plain value")

    def _note(self, place: tuple[int, int], message: str, hint: str) -> None:
        self.problems.append(Problem(self._name, *place, "", message, hint))

    def _stop(self, place: tuple[int, int], message: str, hint: str) -> NoReturn:
        self._note(place, message, hint)
        raise MatrixError(self.problems)


def _place(composed: ScalarNode | MappingNode | SequenceNode) -> tuple[int, int]:
    return composed.start_mark.line + 1, composed.start_mark.column + 1


def _measure(node: Node, inner: Collection[Node]) -> None:
    node.size += sum(each.size for each in inner)
    node.height += max((each.height for each in inner), default=0)


def _scalar(composed: ScalarNode) -> bool | int | str | WrittenNumber | None:
    text: str = composed.value
    if composed.style or str(composed.tag) == "tag:yaml.org,2002:str":  # quoted, a block, or a word
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    return WrittenNumber(text) if _FLOAT.fullmatch(text) and len(text) <= 40 else text  # noqa: PLR2004 - longer is no number a person writes

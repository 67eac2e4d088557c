"""YAML read into plain data that remembers where every value stood.

Only what a hand-written configuration needs is understood: mappings with text keys, sequences, plain values,
anchors and aliases. Tags, merge keys, several documents in one file, recursion and aliases that multiply into
something huge are refused with their position. The parser's events are composed here, without recursion, because
a composed tree would have lost duplicate keys and would overflow on deep nesting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from harness.matrix.problems import MatrixError, Problem

if TYPE_CHECKING:
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
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map")
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
        if path.stat().st_size > MAX_BYTES:
            raise MatrixError([Problem(name, 1, 1, "", f"the file is larger than {MAX_BYTES:,} bytes")])
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MatrixError([Problem(name, 1, 1, "", f"cannot be read: {reason}", "give the path of a file")]) from None
    return parse_document(raw, name)


def parse_document(raw: bytes, name: str) -> Document:
    """The bytes of a file as a document; ``name`` is what problems call it.

    Raises:
        MatrixError: not the YAML described above.
    """
    text = _decode(raw, name)
    composer = _Composer(name)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            composer.take(event)
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the character {chr(error.character)!r} may not stand in YAML"
        raise MatrixError([Problem(name, line, column, "", message, "remove it or write it as an escape")]) from None
    except (YAMLError, ValueError, OverflowError) as error:  # the last two: escapes beyond the last character
        raise MatrixError([_syntax_problem(error, name, composer)]) from None
    if composer.problems:
        raise MatrixError(composer.problems)
    if composer.root is None:
        raise MatrixError([Problem(name, 1, 1, "", "the file is empty")])
    return Document(name, composer.root)


def _decode(raw: bytes, name: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise MatrixError([Problem(name, line, column, "", message, "save the file as UTF-8")]) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _syntax_problem(error: Exception, name: str, composer: _Composer) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else composer.last
    message = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    context = getattr(error, "context", None)
    if not isinstance(error, YAMLError):
        message = "an escape in double quotes names no character"
    elif "<document start>" in message:
        message = "this belongs to no key"
    what = f"not valid YAML: {message}" + (f" {context}" if context else "")
    hint = "indent with spaces, not tabs" if "\\t" in message else "check indentation, quotes and brackets here"
    return Problem(name, line, column, "", what, hint)


class _Composer:
    """Builds nodes from events with a stack of the collections that are open."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.last = (1, 1)
        self._documents = 0
        self._anchors: dict[str, Node | None] = {}
        self._open: list[_OpenCollection] = []

    def take(self, event: Event) -> None:
        """Advance by one event.

        Raises:
            MatrixError: what follows cannot be read with any sense (too deep, too large, a second document).
        """
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        self.last = (line, column)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._stop("a second document starts here", "keep one document per file")
        elif isinstance(event, AliasEvent):
            self._add(self._aliased(str(event.anchor)), event)
        elif isinstance(event, ScalarEvent):
            node = Node(line, column, self._scalar(event))
            self._name(event, node)
            self._add(node, event)
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            self._refuse_tag(event)
            if len(self._open) >= MAX_DEPTH:
                self._stop(f"nested deeper than {MAX_DEPTH} levels", "flatten the file")
            node = Node(line, column, {} if isinstance(event, MappingStartEvent) else [])
            anchor = str(event.anchor) if event.anchor else None
            if anchor is not None:
                self._anchors[anchor] = None  # open: an alias to it now would be a recursion
            self._open.append(_OpenCollection(node, anchor))
        elif isinstance(event, CollectionEndEvent):
            done = self._open.pop()
            if done.anchor is not None:
                self._anchors[done.anchor] = done.node
            self._add(done.node, event)

    def _add(self, node: Node, event: Event) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif isinstance(parent.node.value, dict):
            if not parent.has_key:
                self._take_key(parent, node, event)
                return
            if parent.key is not None:
                parent.node.value[parent.key] = node
            parent.key, parent.has_key = None, False
        parent.node.size += node.size
        parent.node.height = max(parent.node.height, node.height + 1)
        if parent.node.size > MAX_NODES or len(self._open) + node.height > MAX_DEPTH + 1:
            self._stop("the aliases of this file multiply into something huge", "write the values out")

    def _take_key(self, parent: _OpenCollection, node: Node, event: Event) -> None:
        parent.has_key = True
        at_end = isinstance(event, CollectionEndEvent)
        place = (node.line, node.column) if at_end else (event.start_mark.line + 1, event.start_mark.column + 1)
        key = event.value if isinstance(event, ScalarEvent) else node.value if isinstance(node.value, str) else None
        if not isinstance(key, str) or not key:
            self._note("a key must be text", "write `name: value`", place)
        elif key == "<<":
            self._note("merge keys are not supported", "write the keys out", place)
        elif key in parent.node.keys:
            first = parent.node.keys[key]
            self._note(
                f"the key '{key}' stands here a second time; first on line {first[0]}",
                "keep one of the two",
                place,
            )
        else:
            parent.key = key
            parent.node.keys[key] = place

    def _aliased(self, anchor: str) -> Node:
        if anchor not in self._anchors:
            self._note(f"the alias *{anchor}' has no anchor".replace("'", ""), f"define &{anchor} before it is used")
            return Node(*self.last)
        node = self._anchors[anchor]
        if node is None:
            self._stop(f"the alias *{anchor} contains itself", "write the value out")
            raise AssertionError  # _stop always raises; said for the type checker
        return node

    def _name(self, event: NodeEvent, node: Node) -> None:
        if event.anchor:
            self._anchors[str(event.anchor)] = node

    def _refuse_tag(self, event: MappingStartEvent | SequenceStartEvent | ScalarEvent) -> None:
        tag = str(event.tag) if event.tag else ""
        if tag and tag != "!" and tag not in _PLAIN_TAGS:
            self._note(f"the tag {tag} is not supported", "remove the tag and write the plain value")

    def _scalar(self, event: ScalarEvent) -> bool | int | str | WrittenNumber | None:
        self._refuse_tag(event)
        text: str = event.value
        if not event.implicit[0]:  # quoted, a block, or tagged: text as it stands
            return text
        if text in _NULLS:
            return None
        if text in _BOOLS:
            return _BOOLS[text]
        if _INT.fullmatch(text):
            return int(text)
        return WrittenNumber(text) if _FLOAT.fullmatch(text) and len(text) <= 40 else text  # noqa: PLR2004 - longer is no number a person writes

    def _note(self, message: str, hint: str, place: tuple[int, int] | None = None) -> None:
        line, column = place or self.last
        self.problems.append(Problem(self.name, line, column, "", message, hint))

    def _stop(self, message: str, hint: str) -> None:
        self._note(message, hint)
        raise MatrixError(self.problems)


@dataclass(slots=True)
class _OpenCollection:
    node: Node
    anchor: str | None
    key: str | None = None
    has_key: bool = False
    """A key was read and its value comes next; ``key`` is None when that key was refused."""

"""Parsing sources, in full or only a part of them: without the bodies that do not matter for what is asked.

Parsing is what a scan spends its time on. Bodies are cut out by indentation, which leaves whole statements, so that
the rest parses as before. Where a long text in a body has lines that are not indented, it is told from code by its
quotes; where that is not clear, or the rest does not parse, the whole source is parsed.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left
from functools import lru_cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DEFINITION = re.compile(
    rb"(?:async )?(?P<kind>def|class) (?P<name>(?!__getattr__\b)\w+)\b|if (?:typing\.)?TYPE_CHECKING:\s*(?:#.*)?$"
)
_TABLE = re.compile(rb"(?P<name>\w+)\s*(?::[^=]+)?=\s*[\w.]*(?:\[[\w., ]*\])?[(\[{]+\s*(?:#.*)?$")
"""An assignment whose value begins on its line and goes on below it."""
_KEPT_TABLE = re.compile(rb"_?import_structure$|__all__$|.*alias", re.IGNORECASE)
_SERVES_FROM_TABLES = re.compile(rb"__getattr__|define_import_structure|image_processing_\(")
_CODE = re.compile(rb"@|(?:async|def|class|from|import|if|for|while|try|with|return|raise)\b|\w[\w.]*\s*[=:(\[+]")
"""How a line of code at a module's own level begins, unlike most lines of prose."""
_FUNCTION = re.compile(rb"(?:    )?(?:async )?def \w+")
_METHOD = re.compile(rb"    (?:async )?def (?P<name>\w+)")
_ENDED = re.compile(rb":\s*(?:\.\.\.|pass)?\s*(?:#.*)?$")
_SETS = re.compile(rb"\bself\.\w+[^\n=!<>]*=[^=]|setattr\(|\b(?:as|for) self\.|^\s*self\.\w+,", re.MULTILINE)
"""What sets an attribute in a method's body, or might."""
_MAKERS = {b"__init__", b"__post_init__"}
_VERSION = re.compile(rb"__version__\s*=\s*[\"'][^\"']*[\"']")
_INSIDE = frozenset(b" \t\r)]}#")
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")


class _Unclear(Exception):  # noqa: N818 - private: the whole source is parsed then
    """A line that is not indented may be part of a text or code."""


@lru_cache(maxsize=2)
def parse(source: bytes) -> ast.Module:
    """The syntax tree of a source; nobody changes it, so whoever reads the same source next shares it.

    Raises:
        SyntaxError: it is not Python that this interpreter knows.
        ValueError: it holds null bytes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's sources are not our affair
        return ast.parse(source)


def parse_surface(source: bytes) -> ast.Module:
    """The syntax tree without the bodies of functions and classes; otherwise as :func:`parse`."""
    return _parse_cut(surface_of, source)


def parse_around(source: bytes, lines: Sequence[int]) -> ast.Module:
    """As :func:`parse_surface`, with the whole of each function or class that one of the lines stands in.

    Args:
        source: the source.
        lines: numbers of lines, in order, from 1.
    """
    return _parse_cut(lambda text: _cut(partial(_surface_lines, whole=lines), text), source)


def parse_headers(source: bytes) -> ast.Module:
    """The syntax tree with the headers of functions and methods, without their bodies; otherwise as :func:`parse`."""
    return _parse_cut(headers_of, source)


def parse_classes(source: bytes) -> ast.Module:
    """The syntax tree of classes, of their methods the constructors and those that set attributes.

    Functions and other methods keep their names alone. Otherwise as :func:`parse`.
    """
    return _parse_cut(classes_of, source)


def condensed(source: bytes) -> bytes:
    """A source's surface without empty lines and without its version; lines lose their numbers.

    Neighbouring releases often differ in nothing else, so what was read of one holds for the other. The whole source
    where it cannot be cut.
    """
    surface = _VERSION.sub(b"__version__ = ''", surface_of(source))
    return b"\n".join(line for line in surface.split(b"\n") if line)


def surface_of(source: bytes) -> bytes:
    """A source without the bodies of its own functions and classes, and what is only for type checkers.

    Lines keep their numbers. A module's ``__getattr__`` keeps its body. Tables that nothing serves names from are
    blanked out too. The whole source where it cannot be cut.
    """
    return _cut(_surface_lines, source)


def headers_of(source: bytes) -> bytes:
    """A source with the bodies of its functions and of its classes' methods blanked out, headers whole."""
    return _cut(_header_lines, source)


def classes_of(source: bytes) -> bytes:
    """A source without functions and without methods that set no attributes, their names left."""
    return _cut(_class_lines, source)


def _parse_cut(cut: Callable[[bytes], bytes], source: bytes) -> ast.Module:
    try:
        return parse(cut(source))
    except (SyntaxError, ValueError):
        return parse(source)


def _cut(lines: Callable[[bytes], list[bytes]], source: bytes) -> bytes:
    try:
        return b"\n".join(lines(source))
    except _Unclear:
        return source


class _Body:
    """The lines below a header, told by their indentation.

    Args:
        header: the header's last line, which may open a long text.
        indent: the header's indentation.
    """

    def __init__(self, header: bytes, indent: int = 0) -> None:
        self._indent = indent
        self._in_text = _turns(header)

    def takes(self, line: bytes) -> bool:
        """Whether a line belongs to the body."""
        if line and line[0] not in _INSIDE:
            if not self._in_text:
                return False
            if _CODE.match(line):
                raise _Unclear
        elif self._indent and line and not self._in_text:
            text = line.lstrip()
            if text and len(line) - len(text) <= self._indent and text[:1] not in b")]}#":
                return False
        if b'"""' in line or b"'''" in line:
            self._in_text ^= _turns(line)
        return True


def _turns(line: bytes) -> bool:
    """Whether a line opens a long text that it does not close, or closes one."""
    return (line.count(b'"""') + line.count(b"'''")) % 2 == 1


def _surface_lines(source: bytes, whole: Sequence[int] = ()) -> list[bytes]:
    """The lines, definitions cut except for those that hold one of the lines ``whole``, numbered from 1."""
    kept: list[bytes] = []
    lines = source.split(b"\n")
    body: _Body | None = None
    start = 0
    tables = _SERVES_FROM_TABLES.search(source) is None
    for number, line in enumerate(lines):
        if body is not None:
            if body.takes(line):
                kept.append(b"")
                continue
            body = None
            _restore(kept, lines, start, whole)
        match = _DEFINITION.match(line)
        table = _TABLE.match(line) if tables and match is None else None
        if match is not None:
            body, start = _Body(line), number
            kept.append(_stub(match))
        elif table is not None and not _KEPT_TABLE.match(table["name"]) and b"import_module" not in line:
            body, start = _Body(b""), number
            kept.append(table["name"] + b" = 0")
        else:
            kept.append(line)
    if body is not None:
        _restore(kept, lines, start, whole)
    return kept


def _stub(definition: re.Match[bytes]) -> bytes:
    name = definition["name"]
    if name is None:
        return b"if TYPE_CHECKING: pass"
    return b"class " + name + b": pass" if definition["kind"] == b"class" else b"def " + name + b"(): pass"


def _restore(kept: list[bytes], lines: list[bytes], start: int, whole: Sequence[int]) -> None:
    """Bring back what was cut from line ``start`` on if one of the lines ``whole`` is among it."""
    place = bisect_left(whole, start + 1)
    if place < len(whole) and whole[place] <= len(kept):
        kept[start:] = lines[start : len(kept)]


def _header_lines(source: bytes) -> list[bytes]:
    kept: list[bytes] = []
    body: _Body | None = None
    depth = indent = 0
    for line in source.split(b"\n"):
        if depth == 0:
            if body is not None and body.takes(line):
                kept.append(b"")
                continue
            body = None
        if depth or _FUNCTION.match(line):
            indent = indent if depth else len(line) - len(line.lstrip())
            depth = max(0, depth + _deeper(line))
            if depth == 0:
                body = _Body(line, indent)
                line = _ENDED.sub(b": ...", line)  # noqa: PLW2901 - the header without what may follow it
        kept.append(line)
    return kept


def _class_lines(source: bytes) -> list[bytes]:
    kept: list[bytes] = []
    pending: list[bytes] = []
    """The method that is being read, as long as it is not clear whether it is kept."""
    body: _Body | None = None
    stub = b""
    depth = 0
    for line in source.split(b"\n"):
        if depth:
            pending.append(line)
            depth = max(0, depth + _deeper(line))
            body = None if depth else _Body(line, len(b"    "))
            continue
        if body is not None:
            if body.takes(line):
                pending.append(line)
                continue
            _settle(kept, pending, stub)
            body = None
        method, definition = _METHOD.match(line), _DEFINITION.match(line)
        if method is not None:
            pending, stub = [line], b"" if method["name"] in _MAKERS else b"    def " + method["name"] + b"(self): ..."
            depth = max(0, _deeper(line))
            body = None if depth else _Body(line, len(b"    "))
        elif definition is not None and definition["kind"] == b"def":
            pending, stub = [b""], b"def " + definition["name"] + b"(): ..."
            body = _Body(line)
        else:
            kept.append(line)
    if body is not None or depth:
        _settle(kept, pending, stub)
    return kept


def _settle(kept: list[bytes], pending: list[bytes], stub: bytes) -> None:
    """Keep a method that was read to its end: whole when it makes the object, otherwise its stub."""
    if not stub or (pending[0] and _SETS.search(b"\n".join(pending))):
        kept.extend(pending)
    else:
        kept.append(stub)


def _deeper(line: bytes) -> int:
    """How many brackets a line leaves open."""
    return sum(line.count(c) for c in _OPENING) - sum(line.count(c) for c in _CLOSING)

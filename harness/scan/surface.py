"""Parsing sources, in full or only their surface: what a module's own level says, without the bodies below it."""

from __future__ import annotations

import ast
import re
import warnings

_DEFINITION = re.compile(
    rb"(?:async )?(?P<kind>def|class) (?P<name>(?!__getattr__\b)\w+)\b|if (?:typing\.)?TYPE_CHECKING:\s*(?:#.*)?$"
)
_FUNCTION = re.compile(rb"(?:    )?(?:async )?def \w+")
_ENDED = re.compile(rb":\s*(?:\.\.\.|pass)?\s*(?:#.*)?$")
_INSIDE = frozenset(b" \t\r)]}#")


def parse(source: bytes) -> ast.Module:
    """The syntax tree of a source.

    Raises:
        SyntaxError: it is not Python that this interpreter knows.
        ValueError: it holds null bytes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's sources are not our affair
        return ast.parse(source)


def parse_surface(source: bytes) -> ast.Module:
    """The syntax tree without the bodies of functions and classes, which take most of the time to parse.

    Bodies are cut out by indentation. That breaks where a text in a body has a line that is not indented; such a
    source no longer parses, and the whole is parsed instead.
    """
    try:
        return parse(surface_of(source))
    except (SyntaxError, ValueError):
        return parse(source)


def parse_headers(source: bytes) -> ast.Module:
    """The syntax tree with the headers of functions and methods, without their bodies.

    As :func:`parse_surface`, with the same way back where cutting breaks something.
    """
    try:
        return parse(headers_of(source))
    except (SyntaxError, ValueError):
        return parse(source)


def headers_of(source: bytes) -> bytes:
    """A source with the bodies of its functions and of its classes' methods blanked out, headers whole."""
    kept: list[bytes] = []
    body: int | None = None
    """Indentation of the function whose body is being cut."""
    depth = 0
    for line in source.split(b"\n"):
        text = line.lstrip()
        indent = len(line) - len(text)
        if depth == 0 and body is not None and (not text or indent > body or text[:1] in b")]}#"):
            kept.append(b"")
            continue
        if depth == 0:
            body = None
        if depth or _FUNCTION.match(line):
            body = indent if depth == 0 else body
            depth += sum(line.count(c) for c in (b"(", b"[", b"{")) - sum(line.count(c) for c in (b")", b"]", b"}"))
            if depth <= 0:
                depth = 0
                line = _ENDED.sub(b": ...", line)  # noqa: PLW2901 - the header without what may follow it
        kept.append(line)
    return b"\n".join(kept)


def surface_of(source: bytes) -> bytes:
    """A source with the bodies of its own functions and classes, and what is only for type checkers, blanked out.

    Lines keep their numbers. A module's ``__getattr__`` keeps its body.
    """
    kept: list[bytes] = []
    cutting = False
    for line in source.split(b"\n"):
        if cutting and (not line or line[0] in _INSIDE):
            kept.append(b"")
            continue
        match = _DEFINITION.match(line)
        cutting = match is not None
        if match is None:
            kept.append(line)
        elif match["name"] is None:
            kept.append(b"if TYPE_CHECKING: pass")
        else:
            kept.append(
                match["kind"] + b" " + match["name"] + (b": pass" if match["kind"] == b"class" else b"(): pass")
            )
    return b"\n".join(kept)

"""Parsing sources, in full or only their surface: what a module's own level says, without the bodies below it."""

from __future__ import annotations

import ast
import re
import warnings

_DEFINITION = re.compile(
    rb"(?:async )?(?P<kind>def|class) (?P<name>(?!__getattr__\b)\w+)\b|if (?:typing\.)?TYPE_CHECKING:\s*(?:#.*)?$"
)
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

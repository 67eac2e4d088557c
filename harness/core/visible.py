"""Text from outside made safe to look at: nothing hidden, nothing that reorders, nothing without bound.

Escaping for HTML is not done here: the template engine and the page's script do that where the text is placed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

MAX_LINE = 2_000
"""Longest line kept, in characters; the rest is counted, not shown."""
MAX_TEXT = 16_000
"""Longest single text kept outside a log, in characters."""
MAX_ITEMS = 200
"""Most members kept of one list or mapping of facts."""
MAX_DEPTH = 6
"""Deepest nesting kept of one fact."""

_COLOUR = re.compile(r"\x1b\[[0-9;:]*[mK]")
"""ANSI colours and 'erase to the end of the line': they carry no words, so they go without a trace."""
_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls; tab and newline stay
    "\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff"
    "\U000e0000-\U000e007f"
    "]"
)


def visible(text: str) -> str:
    """``text`` with every character that a reader could not see, or that reorders others, written as ``⟨U+202E⟩``.

    Tabs and line feeds stay. Lone surrogates are written out too, so that the result can always be encoded.
    """
    if text.isascii() and text.isprintable():
        return text  # nearly every text; ten times faster than the search
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


@lru_cache(maxsize=100_000)
def shown(text: str, limit: int = 200) -> str:
    """A short text cut to ``limit`` and made visible: names, versions and axis values, which come again and again."""
    return visible(bounded(text, limit))


def without_colour(text: str) -> str:
    """A log without ANSI colours, and of each line that was redrawn in place (progress bars) the last state."""
    text = _COLOUR.sub("", text).replace("\r\n", "\n")
    if "\r" not in text:
        return text
    return "\n".join(_last_drawn(line) for line in text.split("\n"))


def _last_drawn(line: str) -> str:
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


def bounded(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` cut to ``limit`` characters, saying how many are left out."""
    return text if len(text) <= limit else f"{text[:limit]}… [{len(text) - limit:,} more characters]"


def visible_value(value: JsonValue, depth: int = MAX_DEPTH) -> JsonValue:
    """A JSON value of any shape, its texts made visible, its size bounded; what is left out is counted in place."""
    if isinstance(value, str):
        return visible(bounded(value))
    if isinstance(value, list):
        if depth == 0:
            return f"[… {len(value):,} items]"
        kept: list[JsonValue] = [visible_value(item, depth - 1) for item in value[:MAX_ITEMS]]
        return [*kept, f"… {len(value) - MAX_ITEMS:,} more items"] if len(value) > MAX_ITEMS else kept
    if isinstance(value, dict):
        return _visible_members(value, depth)
    return value


def _visible_members(value: Mapping[str, JsonValue], depth: int) -> JsonValue:
    if depth == 0:
        return f"{{… {len(value):,} members}}"
    kept: dict[str, JsonValue] = {
        visible(bounded(name, 200)): visible_value(member, depth - 1)
        for name, member in list(value.items())[:MAX_ITEMS]
    }
    if len(value) > MAX_ITEMS:
        kept["…"] = f"{len(value) - MAX_ITEMS:,} more members"
    return kept

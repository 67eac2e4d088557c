"""Markdown that says what it was given: text from outside is no markup, no link, and mentions nobody.

Every Markdown that the harness writes is made with these, since what a package or a model printed may stand in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.visible import bounded, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"[\\`*_\[\]<~$&]|^>|^[-+=:#](?!\w)")
_NUMBERED = re.compile(r"^(\d+)(?=[.)](?: |$))")
_LINKED = re.compile(r"@|#(?=\w)|:(?=//)|\bwww(?=\.)", re.IGNORECASE)
"""What GitHub makes a mention, a reference or a link of, unless something stands behind it."""
_APART = "\u200b"


def plain(text: str, most: int = 1000) -> str:
    """``text`` as one line of prose, at most ``most`` characters of it."""
    line = bounded(" ".join(visible(text).split()), most)
    escaped = _NUMBERED.sub(r"\1\\", _MARKUP.sub(lambda found: f"\\{found[0]}", line))
    return _LINKED.sub(lambda found: found[0] + _APART, escaped)


def code(text: str) -> str:
    """``text`` as code within a line."""
    line = " ".join(visible(text).split())
    if not line:
        return ""
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(text: str, language: str = "") -> str:
    """``text`` as a block of code."""
    text = visible(text)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already, and an empty line."""
    return "".join([row(head), f"|{'---|' * len(head)}\n", *map(row, rows), "\n"])


def row(cells: Iterable[str]) -> str:
    """One row of a table."""
    whole = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(whole)} |\n"


def within(parts: Iterable[str], limit: int, note: str) -> str:
    """The parts that fit into ``limit`` bytes of UTF-8, and the note if any did not."""
    kept, room, left_out = [], limit - len(note.encode()), False
    for part in parts:
        size = len(part.encode())
        if size > room:
            left_out = True
            continue
        kept.append(part)
        room -= size
    return "".join([*kept, note] if left_out else kept)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)

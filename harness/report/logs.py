"""The end of a log as a page can show it: a bounded tail and the line in it that decided."""

from __future__ import annotations

from harness.core.visible import MAX_LINE, bounded, visible, without_colour
from harness.report.model import LogEntry

MAX_LINES = 400
"""Most lines of a log's end that a report carries."""
MAX_CHARACTERS = 60_000
"""Most characters of a log's end that a report carries, before escapes."""


def log_entry(tail: str, deciding: str = "") -> LogEntry | None:
    """The last lines of ``tail``, with the place of the line that ``deciding`` quotes.

    Args:
        tail: what a child printed, of any length.
        deciding: the diagnosis's line; it may be shortened or stripped compared with the log's.

    Returns:
        None for a log without any text.
    """
    # The cut comes first: everything after it works on a bounded text however long the log is. Colours and redrawn
    # lines take room, so ten times the room is looked at.
    window = tail[-10 * MAX_CHARACTERS :]
    lines = visible(without_colour(window).rstrip()).split("\n")
    if lines == [""]:
        return None
    kept = _last(lines)
    cut = len(window) < len(tail) or len(kept) < len(lines)
    shown = [line if len(line) <= MAX_LINE else bounded(line, MAX_LINE) for line in kept]
    return LogEntry(
        lines=shown,
        deciding=_place(shown, visible(bounded(deciding, MAX_LINE))),
        omitted=max(1, tail.count("\n") + 1 - len(kept)) if cut else 0,
    )


def _last(lines: list[str]) -> list[str]:
    if len(lines) <= MAX_LINES and sum(map(len, lines)) <= MAX_CHARACTERS:
        return lines
    room = MAX_CHARACTERS
    for count, line in enumerate(reversed(lines)):
        room -= min(len(line), MAX_LINE) + 1
        if count == MAX_LINES or room < 0:
            return lines[len(lines) - count :]
    return lines


def _place(lines: list[str], deciding: str) -> int | None:
    wanted = deciding.strip()
    if not wanted:
        return None
    for index in range(len(lines) - 1, -1, -1):
        if wanted in lines[index]:
            return index
    return None

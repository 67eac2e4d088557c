"""The outcome as Markdown, for a job summary (1 MiB at most) and a pull request's comment (65,536 characters)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.core.comparison import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gate.outcome import Cause, Outcome, Row

SUMMARY_BYTES = 1024 * 1024 - 1024
COMMENT_BYTES = 60_000
MARKER = "<!-- lmdeploy-harness gate -->"
"""Begins the comment, so that the next one replaces it."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$@&])")
_MARKS = {0: "✅", 1: "❌", 3: "💤"}
_QUIET = frozenset({Change.SAME, Change.GONE})


def markdown(outcome: Outcome, most_bytes: int, *, every: bool) -> str:
    """The text, cut at whole lines with a word on what was left out.

    Args:
        outcome: what was found.
        most_bytes: of UTF-8.
        every: also the rows that are as they were.
    """
    lines, size, left = [], 0, 0
    room = most_bytes - 200
    for line in _lines(outcome, every=every):
        cost = len(line.encode()) + 1
        if left or size + cost > room:
            left += 1
            continue
        lines.append(line)
        size += cost
    if left:
        lines += ["", f"{left} further lines are left out here; `gate.json` has them all."]
    return "\n".join(lines) + "\n"


def _lines(outcome: Outcome, *, every: bool) -> Iterator[str]:
    yield MARKER
    yield f"## {_MARKS.get(outcome.exit_code, '⚠️')} Gate: {_text(outcome.bump, 300)}"
    yield ""
    yield f"{_text(outcome.decision, 500)} Compared with {_text(outcome.baseline, 200)}."
    yield ""
    yield " · ".join(f"{number} {name}" for name, number in outcome.counts.items() if number)
    for cause in outcome.causes:
        yield from _cause(cause)
    rows = [row for row in outcome.sorted_rows() if every or row.change not in _QUIET or row.must_met is not None]
    if rows:
        yield ""
        yield "| class | combination | baseline | now |"
        yield "| --- | --- | --- | --- |"
        for row in rows:
            yield _row(row)


def _cause(cause: Cause) -> Iterator[str]:
    yield ""
    yield f"### {cause.change}: {_text(cause.title, 200)}"
    yield ""
    some = ", ".join(cause.combinations[:3])
    yield f"{_text(cause.verdict, 300)} on {len(cause.combinations)} combination(s): {_text(some, 500)}"
    for word, text in (("Evidence", cause.line), ("Cause", cause.cause), ("Remedy", cause.remedy)):
        if text:
            yield ""
            yield f"**{word}:** {_text(text, 1000)}"


def _row(row: Row) -> str:
    now = row.after or "-"
    if len(row.tries) > 1:
        now = " then ".join(row.tries)
    if row.emulated:
        now += f" (emulated: {row.emulated})"
    worse = "; ".join(each.text for each in row.measured if each.worse)
    demanded = f" (must reach {row.must})" if row.must is not None and row.must_met is not True else ""
    cells = [f"{row.change}{demanded}", row.id, row.before or "-", f"{now}; {worse}" if worse else now]
    return f"| {' | '.join(_text(cell, 300) for cell in cells)} |"


def _text(text: str, most: int) -> str:
    """One line of plain text: nothing in it is markup, a mention or a reference."""
    line = " ".join(text.split())
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return _SPECIAL.sub(r"\\\1", line).replace("\\@", "@\u200b").replace("://", ":\u200b//")

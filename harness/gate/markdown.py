"""The outcome as Markdown, for a job summary (1 MiB at most) and a pull request's comment (65,536 characters)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.comparison import Change
from harness.core.markdown import plain, row, table, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.gate.outcome import Cause, GateOutcome, Row

SUMMARY_BYTES = 1024 * 1024 - 1024
COMMENT_BYTES = 60_000
MARKER = "<!-- lmdeploy-harness gate -->"
"""Begins the comment, so that the next one replaces it."""
_MARKS = {0: "✅", 1: "❌", 3: "💤"}
_QUIET = frozenset({Change.SAME, Change.GONE})


def markdown(outcome: GateOutcome, most_bytes: int, *, every: bool) -> str:
    """The text, with a word on what was left out for its size.

    Args:
        outcome: what was found.
        most_bytes: of UTF-8.
        every: also the rows that are as they were.
    """
    return within(_parts(outcome, every=every), most_bytes, "\nMore is left out here; `gate.json` has everything.\n")


def _parts(outcome: GateOutcome, *, every: bool) -> Iterator[str]:
    yield f"{MARKER}\n## {_MARKS.get(outcome.exit_code, '⚠️')} Gate: {plain(outcome.bump, 300)}\n\n"
    yield f"{plain(outcome.decision, 500)} Compared with {plain(outcome.baseline, 200)}.\n\n"
    yield " · ".join(f"{number} {name}" for name, number in outcome.counts.items() if number) + "\n\n"
    for place in outcome.untested:
        yield f"- left untested: {plain(place, 300)}\n"
    for note in outcome.notes:
        yield f"- {plain(note, 500)}\n"
    for line in outcome.known:
        yield f"- known from other machines: {plain(line, 800)}\n"
    yield "\n" if outcome.untested or outcome.notes or outcome.known else ""
    yield from map(_cause, outcome.causes)
    groups = outcome.grouped_rows()
    rows = [each for each in groups if every or each[0].change not in _QUIET or each[0].must_met is not None]
    if rows:
        yield table(("class", "combination", "baseline", "now"), []).rstrip("\n") + "\n"
    yield from map(_row, rows)


def _cause(cause: Cause) -> str:
    some = ", ".join(cause.combinations[:3])
    text = f"### {cause.change}: {plain(cause.title, 200)}\n\n"
    text += f"{plain(cause.verdict, 300)} on {len(cause.combinations)} combination(s): {plain(some, 500)}\n\n"
    told = (("Evidence", cause.line), ("Cause", cause.cause), ("Remedy", cause.remedy))
    return text + "".join(f"**{word}:** {plain(said)}\n\n" for word, said in told if said)


def _row(alike: Sequence[Row]) -> str:
    told = alike[0]
    now = " then ".join(told.tries) or told.after or "-"
    if told.emulated:
        now += f" (emulated: {told.emulated})"
    worse = "; ".join(each.text for each in told.measured if each.worse)
    demanded = f" (must reach {told.must})" if told.must is not None and told.must_met is not True else ""
    if told.control is not None:
        now += f"; without the change {told.control}"
    name = told.id + (f" and {len(alike) - 1} more" if len(alike) > 1 else "")
    cells = [f"{told.change}{demanded}", name, told.before or "-", f"{now}; {worse}" if worse else now]
    return row(plain(cell, 300) for cell in cells)

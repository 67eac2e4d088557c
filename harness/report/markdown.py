"""The report as Markdown for a job summary: the answer, the counts, the causes and the map, within a size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.markdown import block, code, plain, table, within
from harness.core.verdict import Status
from harness.evidence.levels import Level
from harness.report.axes import ABSENT
from harness.report.wording import STATES, heading_of, look_of, stage_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.report.model import CauseGroup, Changes, Facet, Recommendation, ReportContext

LIMIT = 900_000
"""Bytes; GitHub refuses a step's summary above 1 MiB as a whole."""
MAX_ROWS = 100
MAX_LISTED = 20
MAX_COLUMNS = 14


def render_markdown(context: ReportContext, *, limit: int = LIMIT) -> str:
    """The summary, at most ``limit`` bytes of UTF-8; parts that do not fit are left out, and it says so."""
    parts = [
        _head(context),
        *_answer(context),
        _unexpected(context),
        _causes(context, failed=True),
        _changes(context.changes),
    ]
    parts += [_causes(context, failed=False), *(_map(context, facet) for facet in context.facets)]
    return within(parts, limit, "\n_Parts were left out here for their size; the HTML report has everything._\n")


def _head(context: ReportContext) -> str:
    marks = [f"{mark.symbol} {mark.word}" for mark in STATES.values()]
    text = f"# {plain(context.title)}\n\n"
    if context.synthetic:
        text += "**Made-up records: nothing here is a result about any package.**\n\n"
    text += table(marks, [[f"{context.counts[state]:,}" for state in STATES]])
    return text


def _unexpected(context: ReportContext) -> str:
    if not context.unexpected:
        return ""
    listed = [context.combinations[index] for index in context.unexpected[:MAX_LISTED]]
    lines = [f"- {code(entry.id)} {code(entry.verdict)}" for entry in listed]
    if len(context.unexpected) > MAX_LISTED:
        lines.append(f"- and {len(context.unexpected) - MAX_LISTED:,} more")
    return f"**{len(context.unexpected):,} not as the matrix expects:**\n\n" + "\n".join(lines) + "\n\n"


def _answer(context: ReportContext) -> Iterable[str]:
    if not context.answers:
        yield "No combination has a record.\n\n"
        return
    first = context.answers[0]
    title = context.models[first.model].title
    yield f"## {heading_of(first.level)}: {plain(title)} on {plain(first.backend)}\n\n{_evidence(first)}"
    rows = [
        [plain(context.models[it.model].title), plain(it.backend), _level(it), _pair(it), f"{it.others:,}"]
        for it in context.answers[:MAX_ROWS]
    ]
    yield "## What works\n\n" + table(("Model", "Backend", "", "Best", "Others"), rows)


def _evidence(answer: Recommendation) -> str:
    text = f"{_level(answer)} (level {answer.level.mark} of 6)\n\n" if answer.level is not Level.NOTHING else ""
    if answer.level is not Level.NOTHING:
        names = list(answer.versions)
        text += table([plain(name) for name in names], [[code(answer.versions[name]) for name in names]])
    told = [answer.shown, answer.memory, *answer.against]
    lines = [it.text for it in told if it is not None]
    lines.insert(1, answer.not_shown)
    text += "".join(f"- {plain(line)}\n" for line in [*lines, f"Why: {answer.why}."] if line) + "\n"
    return text + "".join(f"{block(command.text, 'sh')}\n" for command in answer.commands[:2])


def _level(answer: Recommendation) -> str:
    return f"{ {'pass': '✓', 'partial': '◐', 'fail': '✕'}[look_of(answer.level)] } {plain(answer.words)}"


def _pair(answer: Recommendation) -> str:
    if answer.level is Level.NOTHING:
        return plain(answer.why)
    versions = answer.versions
    return (
        f"lmdeploy {code(versions.get('lmdeploy', ABSENT))}, transformers {code(versions.get('transformers', ABSENT))}"
    )


def _causes(context: ReportContext, *, failed: bool) -> str:
    groups = [group for group in context.causes if (group.status is Status.FAIL) == failed]
    if not groups:
        return ""
    heading = "What does not work" if failed else "What was not tested here"
    text = f"## {heading}\n\n" + table(
        ("", "Cause", "Stage", "Combinations", "What to do"), [_cause_row(group) for group in groups[:MAX_ROWS]]
    )
    return text + (f"{len(groups) - MAX_ROWS:,} more causes are in the report.\n\n" if len(groups) > MAX_ROWS else "")


def _cause_row(group: CauseGroup) -> Sequence[str]:
    verified = any(remedy.outcome == "verified" for remedy in group.remedies)
    return (
        STATES[group.status].symbol,
        plain(group.title[:300]),
        ", ".join(stage_word(stage) for stage in group.stages),
        f"{len(group.combinations):,}",
        plain(group.remedy[:500]) + (" **Verified.**" if verified else ""),
    )


def _changes(changes: Changes | None) -> str:
    if changes is None:
        return ""
    text = f"## What changed since {plain(changes.since)}\n\n"
    text += ", ".join(f"{number:,} {change}" for change, number in changes.counts.items() if number)
    rows = [
        [entry.change, code(entry.id), code(entry.before or ABSENT), code(entry.after or ABSENT)]
        for entry in changes.entries[:MAX_ROWS]
    ]
    return text + ".\n\n" + (table(("Change", "Combination", "Before", "Now"), rows) if rows else "")


def _map(context: ReportContext, facet: Facet) -> str:
    if len(facet.columns) > MAX_COLUMNS or len(facet.rows) > MAX_ROWS:
        return ""
    title = context.models[facet.model].title if facet.model in context.models else facet.model
    rows = [
        [code(row), *(_cell(context, indices) for indices in cells)]
        for row, cells in zip(facet.rows, facet.cells, strict=True)
    ]
    head = ["LMDeploy \\ transformers", *(code(column) for column in facet.columns)]
    return f"### {plain(title)} on {plain(facet.backend)}\n\n" + table(head, rows)


def _cell(context: ReportContext, indices: Sequence[int]) -> str:
    entries = [context.combinations[index] for index in indices]
    if len(entries) == 1:
        entry = entries[0]
        place = entry.height if entry.status is Status.BLOCKED else entry.stage
        return f"{STATES[entry.status].symbol} {stage_word(place)}".strip()
    return " ".join(STATES[entry.status].symbol for entry in entries) or ABSENT

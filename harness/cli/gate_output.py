"""The outcome on a terminal, and as files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from harness.cli.console import make_console, unfiltered
from harness.core.comparison import Change
from harness.core.files import write_atomically
from harness.core.visible import visible
from harness.gate.annotations import workflow_commands
from harness.gate.junit import junit
from harness.gate.markdown import COMMENT_BYTES, SUMMARY_BYTES, markdown
from harness.gate.outcome import GateOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.gate.forecast import Forecast

STYLE = {
    Change.REGRESSED: "bold red",
    Change.INFRASTRUCTURE: "magenta",
    Change.NOT_TESTED: "yellow",
    Change.STALE: "yellow",
    Change.FLAKY: "yellow",
    Change.OTHER_REASON: "red",
    Change.NEW: "cyan",
    Change.FIXED: "green",
    Change.GONE: "dim",
    Change.SAME: "dim",
}
MOST_MOVED = 6
"""Packages in a line of what moved."""
VIEW = "gate.json"
"""The report's view, beside the records of the matrix."""


def print_outcome(console: Console, outcome: GateOutcome) -> None:
    """Table, root causes, and the decision last, where the eye is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("class", "combination", "baseline", "now"):
        table.add_column(name, overflow="fold")
    for rows in outcome.grouped_rows():
        row = rows[0]
        now = " then ".join(row.tries) or row.after or "-"
        now += f" (emulated: {row.emulated})" if row.emulated else ""
        now += f"\nwithout the change: {row.control}" if row.control is not None else ""
        demanded = f" (must reach {row.must})" if row.must is not None and row.must_met is not True else ""
        name = row.id if row.id == row.reference else f"{row.id}\n[dim]was {escape(row.reference)}[/]"
        name += f"\n[dim]and {len(rows) - 1} more that say the same[/]" if len(rows) > 1 else ""
        name += f"\n[dim]{escape(shortened(row.moved))}[/]" if row.moved else ""
        worse = "".join(f"\n{each.text}" for each in row.measured if each.worse)
        table.add_row(
            f"[{STYLE[row.change]}]{row.change}[/]{demanded}", name, escape(row.before or "-"), escape(now + worse)
        )
    if outcome.rows:
        console.print(table)
    for cause in outcome.causes:
        console.print(f"\n[{STYLE[cause.change]}]{cause.change}[/] {escape(cause.title)}", soft_wrap=True)
        console.print(f"  {escape(cause.verdict)}  ({len(cause.combinations)} of the combinations)", soft_wrap=True)
        for text in (cause.line, cause.cause, cause.remedy and f"→ {cause.remedy}"):
            if text:
                console.print(f"  {escape(text)}", soft_wrap=True)
    print_notes(console, outcome.notes, outcome.untested)
    for line in outcome.known:
        console.print(f"[dim]known from other machines:[/] {escape(line)}", soft_wrap=True)
    counts = ", ".join(f"{number} {name}" for name, number in outcome.counts.items() if number)
    console.print(f"\n{escape(outcome.bump)}: {counts or 'no combination'}", soft_wrap=True)
    console.print(f"[bold {'green' if outcome.exit_code in {0, 3} else 'red'}]{outcome.decision}[/]", soft_wrap=True)


def print_notes(console: Console, notes: Sequence[str], untested: Sequence[str]) -> None:
    """What is not touched, and what nobody tested."""
    for each in notes:
        console.print(f"[dim]{escape(each)}[/]", soft_wrap=True)
    for each in untested:
        console.print(f"[yellow]left untested[/] {escape(each)}", soft_wrap=True)


def print_forecast(told: Forecast, form: str, *, workers: int, every: bool) -> None:
    """The comparisons by stack, and what they would cost.

    Args:
        told: what would be compared.
        form: ``json`` or ``text``.
        workers: how many run at a time.
        every: name each comparison.
    """
    if form == "json":
        click.echo(told.model_dump_json(indent=1))
        return
    console = make_console()
    for group in told.groups:
        refused = "" if group.stack is not None else "  [red]the resolver finds no stack[/]"
        console.print(
            f"{len(group.combinations):4d} on {group.told}: {', '.join(group.models)}{refused}", soft_wrap=True
        )
        if group.moved:
            console.print(f"     [dim]{escape(shortened(group.moved))}[/]", soft_wrap=True)
        for name in group.combinations if every else ():
            console.print(f"     {name}", soft_wrap=True)
    if told.gone:
        console.print(f"{len(told.gone):4d} gone from the matrix, such as {told.gone[0]}", soft_wrap=True)
    print_notes(console, told.notes, told.untested)
    console.print(
        f"[bold]{escape(told.bump)}: {told.comparisons} comparisons on {told.stacks} distinct stacks[/], "
        f"{told.stacks_built} of them built; {told.download_bytes / 1e9:.1f} GB of packages, less what the installer "
        f"has cached; about {max(1, round(told.seconds / 60))} minutes with {workers} at a time",
        soft_wrap=True,
    )


def shortened(moved: Sequence[str]) -> str:
    """What moved, in a line."""
    more = f" and {len(moved) - MOST_MOVED} more" if len(moved) > MOST_MOVED else ""
    return ", ".join(moved[:MOST_MOVED]) + more


def write_outcome(folder: Path, outcome: GateOutcome) -> None:
    """``gate.json`` with its schema, ``junit.xml``, ``summary.md`` and ``comment.md``, and what GitHub reads.

    Under GitHub's runner the summary goes to the job's page, and the annotations to standard output.

    Raises:
        OSError: a file cannot be written.
    """
    write_atomically(folder / "gate.json", outcome.model_dump_json(indent=1) + "\n")
    schema = json.dumps(GateOutcome.model_json_schema(mode="serialization"), indent=1) + "\n"
    write_atomically(folder / "gate.schema.json", schema)
    write_atomically(folder / "junit.xml", junit(outcome))
    summary = markdown(outcome, SUMMARY_BYTES, every=True)
    write_atomically(folder / "summary.md", summary)
    write_atomically(folder / "comment.md", markdown(outcome, COMMENT_BYTES, every=False))
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page and outcome.shard is None:
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(summary)


def write_view(file: Path, outcome: GateOutcome) -> None:
    """What the report shows of the gate.

    Raises:
        OSError: it cannot be written.
    """
    titles = {each.id: each.title for each in outcome.causes}
    rows = [
        {
            "id": row.id,
            "change": str(row.change),
            "before": row.before,
            "after": row.after,
            "cause": titles.get(row.cause or "", ""),
        }
        for row in outcome.sorted_rows()
    ]
    view = {
        "bump": outcome.bump,
        "baseline": outcome.baseline,
        "decision": outcome.decision,
        "exit_code": outcome.exit_code,
        "rows": rows,
    }
    write_atomically(file, json.dumps(view, indent=1) + "\n")


def print_annotations(console: Console, outcome: GateOutcome) -> None:
    """Under GitHub's runner, of a whole gate."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and outcome.shard is None:
        for line in workflow_commands(outcome):
            click.echo(visible(line), file=unfiltered(console.file))

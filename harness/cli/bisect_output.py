"""What a bisection and a comparison of two days look like, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from harness.bisect.changes import PackageChange
    from harness.bisect.ends import End
    from harness.bisect.search import Culprit, Tried

COLOURS = {"green": "green", "red": "red", "unresolved": "yellow"}


def print_trial(console: Console, tried: Tried) -> None:
    """One line for each stack tried."""
    shown = ", ".join(tried.moved[:4]) + (f" and {len(tried.moved) - 4} more" if len(tried.moved) > 4 else "")  # noqa: PLR2004 - what fits a line
    note = "" if tried.declared else ", against what is declared"
    colour = COLOURS[tried.outcome]
    console.print(f"[{colour}]{tried.outcome:>10}[/]  {len(tried.moved)} moved: {escape(shown)}{note}")


def print_culprit(console: Console, found: Culprit) -> None:
    """The answer, then what it took."""
    console.print(f"[bold]{escape(found.sentence())}[/]")
    single, worst = found.bounds
    console.print(
        f"[dim]{len(found.changes)} packages moved; {found.tests} stacks tried between the two ends "
        f"({found.unresolved} unresolved), {found.trials_run} run, {found.known} known from before. "
        f"ddmin's bound: {single} for a single cause, {worst} at worst.[/]"
    )


def culprit_json(found: Culprit) -> str:
    """The same for programs."""
    single, worst = found.bounds
    return json.dumps(
        {
            "cause": [_change(found.changes[name]) for name in found.cause],
            "along": [_change(found.changes[name]) | {"because": said} for name, said in found.along.items()],
            "breaks_alone": found.alone,
            "green": found.green,
            "red": found.red,
            "changes": len(found.changes),
            "tests": found.tests,
            "unresolved": found.unresolved,
            "run": found.trials_run,
            "known": found.known,
            "bound_single": single,
            "bound_worst": worst,
            "trials": [
                {"moved": each.moved, "outcome": each.outcome, "verdict": each.verdict, "as_declared": each.declared}
                for each in found.trials
            ],
        },
        indent=1,
    )


def print_drift(
    console: Console, ends: tuple[End, End], verdicts: tuple[str, str] | None, changes: Mapping[str, PackageChange]
) -> None:
    """Two stacks side by side: their verdicts, and every package that moved."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", *(escape(each.label) for each in ends)):
        table.add_column(name, overflow="fold")
    if verdicts is not None:
        table.add_row("verdict", *(escape(each) for each in verdicts))
    table.add_row("stack", *(each.lock.name for each in ends))
    table.add_row("packages", *(str(len(each.lock.stack)) for each in ends))
    for change in changes.values():
        table.add_row(change.name, change.green or "-", change.red or "-")
    console.print(table)
    console.print(f"[dim]{len(changes)} packages moved[/]")


def drift_json(ends: tuple[End, End], verdicts: tuple[str, str] | None, changes: Mapping[str, PackageChange]) -> str:
    """The same for programs."""
    shown = [{"end": each.label, "stack": each.lock.name} for each in ends]
    if verdicts is not None:
        shown = [each | {"verdict": verdict} for each, verdict in zip(shown, verdicts, strict=True)]
    return json.dumps({"ends": shown, "moved": [_change(each) for each in changes.values()]}, indent=1)


def _change(change: PackageChange) -> dict[str, str | None]:
    return {"package": change.name, "green": change.green, "red": change.red}

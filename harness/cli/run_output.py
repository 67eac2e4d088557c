"""How verdicts, the summary of a run and a plan look on a console."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harness.cli.console import make_console
from harness.core.verdict import Stage, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from harness.core.records import Record
    from harness.matrix import Combination
    from harness.scheduling.budget import Budget
    from harness.session.plan import Plan, Planned

STYLE = {
    Status.PASS: "green",
    Status.FAIL: "red",
    Status.BLOCKED: "yellow",
    Status.INFRA: "magenta",
    Status.SKIPPED: "dim",
}

SHOWN_LEFT = 5
"""Ids named when a budget leaves more than that over."""


def verdict_text(record: Record) -> str:
    """The verdict, coloured; an unexpected one says what was expected."""
    verdict = Verdict.parse(record.verdict)
    text = f"[{STYLE[verdict.status]}]{escape(record.verdict)}[/]{emulated_text(record)}"
    if record.as_expected is False:
        text += f"  [bold red]unexpected[/] [dim](expected {escape(record.expected)})[/]"
    elif verdict.status is Status.FAIL:
        text += " [dim]as expected[/]"
    return text


def emulated_text(record: Record) -> str:
    """That the engine was emulated, and how that ended where the verdict speaks of another stage."""
    if record.emulated is None:
        return ""
    decided = Verdict.parse(record.verdict).stage is Stage.EMULATE
    return " [dim](emulated)[/]" if decided else f" [dim](emulated: {record.emulated})[/]"


def stages_text(record: Record) -> str:
    """The stages that were passed with their seconds, e.g. ``resolve 0.4 · install 2.1 · import 11.0``."""
    return " · ".join(f"{stage.stage} {stage.seconds:.1f}" for stage in record.stages)


def reason_line(record: Record) -> str:
    """The line that decided, and the remedy."""
    diagnosis = record.decisive
    parts = [diagnosis.line.strip(), diagnosis.remedy.strip()] if diagnosis is not None else []
    return " → ".join(part for part in parts if part)


def print_summary(console: Console, records: Sequence[Record], report: Path | None) -> None:
    """The table that a run ends with: verdicts by lmdeploy and backend, then whatever was not expected."""
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("lmdeploy")
    table.add_column("backend")
    for status in Status:
        table.add_column(str(status), justify="right", style=STYLE[status])
    table.add_column("as expected", justify="right")
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.axes["lmdeploy"], record.axes["backend"]), []).append(record)
    for (lmdeploy, backend), group in groups.items():
        counts = Counter(Verdict.parse(each.verdict).status for each in group)
        judged = [each for each in group if each.as_expected is not None]
        cells = [str(counts[status]) if counts[status] else "·" for status in Status]
        table.add_row(lmdeploy, backend, *cells, f"{sum(bool(each.as_expected) for each in judged)}/{len(judged)}")
    console.print()
    console.print(table)
    wrong = [each for each in records if each.as_expected is False]
    for record in wrong:
        console.print(f"[bold red]unexpected[/] {record.id}  {verdict_text(record)}")
    _print_untold(console, records)
    console.print()
    console.print(_closing(records, wrong))
    if report is not None:
        console.print(f"report: {report}")


def _print_untold(console: Console, records: Sequence[Record]) -> None:
    """Why nothing was learned about some of them, each reason once."""
    reasons: Counter[tuple[Status, str, str]] = Counter()
    for record in records:
        verdict = Verdict.parse(record.verdict)
        if verdict.status in {Status.BLOCKED, Status.INFRA}:
            reasons[verdict.status, f"{verdict.status}/{verdict.stage}/{verdict.reason}", reason_line(record)] += 1
    for (status, stopped, why), count in reasons.most_common():
        console.print(f"[{STYLE[status]}]{count} {stopped}[/]{f': {escape(why)}' if why else ''}")


def counted(number: int, what: str) -> str:
    """``1 stack``, ``2 stacks``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _closing(records: Sequence[Record], wrong: Sequence[Record]) -> str:
    statuses = Counter(Verdict.parse(each.verdict).status for each in records)
    text = f"{counted(len(records), 'combination')}: {statuses[Status.PASS]} pass, {statuses[Status.FAIL]} fail"
    text += (
        f" ({sum(each.as_expected is True for each in records if each.verdict.startswith('fail'))} of them as expected)"
    )
    text += f", {statuses[Status.BLOCKED]} blocked on this machine, {statuses[Status.SKIPPED]} skipped in the matrix"
    if emulated := Counter(each.emulated for each in records if each.emulated is not None):
        told = ", ".join(f"{emulated[status]} {status}" for status in Status if emulated[status])
        text += f"; emulated on the CPU: {told}"
    if statuses[Status.INFRA]:
        text += f", {statuses[Status.INFRA]} hit infrastructure trouble"
    return f"[{'red' if wrong else 'green'}]{text}[/]" + (f"; {len(wrong)} unexpected" if wrong else "")


def tell_left(
    chosen: Sequence[Combination], records: Sequence[Record], budget: Budget | None, *, verbosity: int
) -> None:
    """What a budget left over; nothing when it sufficed, or there was none."""
    done = {each.id for each in records}
    left = [each for each in chosen if each.id not in done]
    if not left or budget is None:
        return
    console = make_console(stderr=True)
    console.print(
        f"[yellow]the budget ({budget}) is used up[/]: {len(records)} of {len(chosen)} combinations are answered, "
        f"{len(left)} are left; run again to go on with them"
    )
    for each in left[: len(left) if verbosity > 0 else SHOWN_LEFT]:
        console.print(f"  left: {each.id}")
    if verbosity <= 0 and len(left) > SHOWN_LEFT:
        console.print(f"  and {len(left) - SHOWN_LEFT} more (-v lists them)")


def print_plan(console: Console, plan: Plan, *, every: bool) -> None:
    """The plan: totals first, then what each combination will come to on this machine."""
    if every:
        for each in plan.planned:
            lock = each.resolution.lock.name if each.resolution is not None and each.resolution.lock else "none"
            console.print(f"[bold]{escape(each.combination.id)}[/]", soft_wrap=True)  # to be copied whole
            console.print(
                f"    {escape(_foreseen(each))}; expected {escape(str(each.combination.expect))}; stack {lock}"
            )
        console.print()
    console.print(f"[bold]{counted(len(plan.planned), 'combination')}[/]")
    for name, count in plan.counts().most_common():
        console.print(f"  {count:4d}  {name}")
    missing = plan.stacks - plan.stacks_built
    console.print(f"[bold]{counted(plan.stacks, 'distinct stack')}[/], {plan.stacks_built} built, {missing} to build")
    console.print(
        f"[bold]{plan.download_bytes / 1e9:.1f} GB[/] of packages in them, less what the installer has cached already"
    )


def _foreseen(each: Planned) -> str:
    if each.known is not None:
        return f"known: {each.known}"
    if each.foreseen is None:
        return "to the last stage"
    text = str(each.foreseen)
    emulated = ", emulated before it" if each.emulated else ""
    return f"{text} at the latest{emulated}" if each.foreseen.status is Status.BLOCKED else text

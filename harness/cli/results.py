"""``lmdeploy-harness results``."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import project_options
from harness.core.errors import ExitCode
from harness.evidence.sources import Sources
from harness.results.language import parse
from harness.results.store import RECORD_FILE
from harness.results.table import COLUMNS, DEFAULT, HERE, ask
from harness.session.session import NothingSelected, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.matrix.project import Project
    from harness.results.table import Stack


@click.command()
@click.option(
    "--where", default="", metavar="QUESTION", help='e.g. "status=fail and family=symbol* and lmdeploy>=0.16".'
)
@click.option(
    "--columns", default=",".join(DEFAULT), show_default=True, metavar="NAME,...", help="What to show of each record."
)
@click.option("--sort", metavar="[-]NAME", help="Sort by this column; - before it: the largest first.")
@click.option("--limit", type=click.IntRange(1, 10**9), help="At most so many.")
@click.option("--attempts", is_flag=True, help="Every attempt, not only the latest of each combination.")
@click.option("--differ", is_flag=True, help="Only combinations whose verdict differs by GPU, driver or node.")
@click.option("--everywhere", is_flag=True, help="Also the records of other machines that are here (column 'source').")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@project_options
@guarded
def results(  # noqa: PLR0913, PLR0917 - one parameter for each option
    where: str,
    columns: str,
    sort: str | None,
    limit: int | None,
    attempts: bool,
    differ: bool,
    everywhere: bool,
    form: str,
    project: Project,
) -> int:
    """Ask the records: which combinations, with which verdicts, on which machines.

    A question compares columns with values (= != < <= > >=), joined by and, or, not and parentheses. * and ? in a value
    make it a pattern; versions compare as versions. Exit code 3 when nothing fits.
    """
    sources = Sources.of(project.reports).all if everywhere else ()
    files = {each.name or HERE: each.folder / RECORD_FILE for each in sources} or {HERE: project.reports / RECORD_FILE}
    files = {name: file for name, file in files.items() if file.is_file()}
    if not files:
        raise NothingSelected(
            f"there are no records at {project.reports / RECORD_FILE}; 'lmdeploy-harness run' writes them, "
            "--reports names another folder"
        )
    condition = parse(where, COLUMNS)
    names = [each.strip() for each in columns.split(",") if each.strip()]
    if differ:
        names = ["id", "gpu", "compute_capability", "driver", "node", "verdict"]
    found = ask(
        files,
        condition,
        names,
        order=sort,
        limit=None if differ else limit,
        every_attempt=attempts or differ,
        levels=_levels(project) if "level" in {*names, *re.findall(r"\w+", f"{where} {sort}")} else {},
    )
    if found.damaged:
        of = next(iter(files.values())) if len(files) == 1 else "these files"
        click.echo(f"harness: {found.damaged} lines of {of} are no records; left out", err=True)
    rows = _differing(found.rows)[:limit] if differ else found.rows
    _show(names, rows, form)
    return ExitCode.OK if rows else ExitCode.NOTHING_TO_DO


def _levels(project: Project) -> dict[Stack, str]:
    """The level of evidence of every stack for every model, from all records that are here."""
    knowledge = Session(project).knowledge
    return {
        (name, backend, each.lock): str(each.level)
        for name in sorted({each.model for each in knowledge.sightings} & knowledge.subjects.keys())
        for backend in knowledge.backends_of(name)
        for each in knowledge.stacks(name, backend)
        if each.lock is not None
    }


def _differing(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The latest row of each kind of machine, for ids that have different verdicts on different ones."""
    by_id: defaultdict[str, dict[tuple[Any, ...], tuple[Any, ...]]] = defaultdict(dict)
    for row in rows:
        by_id[row[0]][row[1:-1]] = row
    return [row for kinds in by_id.values() if len({row[-1] for row in kinds.values()}) > 1 for row in kinds.values()]


def _show(names: Sequence[str], rows: Sequence[tuple[Any, ...]], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([["" if cell is None else _safe(cell) for cell in row] for row in rows])
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(name, overflow="fold", justify="right" if COLUMNS[name] == "number" else "left")
        for row in rows:
            table.add_row(*("" if cell is None else escape(_plain(cell)) for cell in row))
        console = make_console()
        console.print(table)
        console.print(f"[dim]{len(rows)} found[/]")


def _plain(cell: object) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)


def _safe(cell: object) -> object:
    """A cell that a spreadsheet does not take for a formula: what a package printed may begin like one."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell

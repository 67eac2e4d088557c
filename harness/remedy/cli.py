"""``harness remedy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.console import make_console
from harness.endings import ExitCode, guarded
from harness.execute import climb_all
from harness.options import format_option, matrix_option, reports_option, verbose_option
from harness.project import Project
from harness.publish import REMEDIES
from harness.remedy.apply import apply_remedy
from harness.remedy.show import keep_trial, print_trial, trial_json
from harness.remedy.trial import try_remedies
from harness.workbench import Workbench

if TYPE_CHECKING:
    from pathlib import Path

    from harness.matrix import Combination
    from harness.records import Record


@click.command()
@click.argument("identity", metavar="ID")
@matrix_option
@reports_option
@click.option("--apply", "write", is_flag=True, help="Add the repaired combination to the matrix, comments kept.")
@format_option
@verbose_option
@guarded
def remedy(  # noqa: PLR0913, PLR0917 - one parameter for each option
    identity: str, matrix_file: Path, reports: Path | None, write: bool, form: str, verbose: int
) -> int:
    """Propose what repairs combination ID, run it, and say whether it helped.

    A change is shown as verified only when the changed combination got past the rung on which ID failed. Changes build
    on each other: when one leads to the next failure, that one is repaired too.
    """
    bench = Workbench(Project.of(matrix_file, reports))
    (combination,) = bench.select([identity])[:1]
    quiet = -1 if form == "json" else verbose

    def run_one(each: Combination) -> Record:
        return climb_all(bench, [each], verbosity=quiet, publish=False)[0]

    trial = try_remedies(combination, run_one(combination), run_one)
    if form == "json":
        click.echo(trial_json(trial))
    else:
        print_trial(make_console(), trial)
    keep_trial(bench.store.folder / REMEDIES, trial)
    if trial.verified is None:
        return ExitCode.UNEXPECTED if trial.failed.verdict.startswith("fail") else ExitCode.OK
    if write:
        apply_remedy(bench.project.matrix_file, trial.verified)
        click.echo(f"added to {bench.project.matrix_file.name}", err=True)
    return ExitCode.OK

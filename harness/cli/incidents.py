"""``lmdeploy-harness incidents``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from harness.cli import incidents_output as log
from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import format_option, jobs_option, project_options, verbose_option
from harness.cli.progress import display
from harness.core.errors import ExitCode
from harness.core.files import write_atomically
from harness.core.verdict import Status, Verdict
from harness.incidents import load_incidents
from harness.incidents.verify import NO_HELP
from harness.session.execute import run_all
from harness.session.session import Session

if TYPE_CHECKING:
    from harness.matrix.project import Project


@click.command()
@project_options
@jobs_option
@click.option("--list", "only_list", is_flag=True, help="Name the incidents and run nothing.")
@click.option("--fresh", is_flag=True, help="Run again what is known already.")
@format_option
@verbose_option
@guarded
def incidents(  # noqa: PLR0913, PLR0917 - one parameter for each option
    project: Project,
    jobs: int | None,
    only_list: bool,
    fresh: bool,
    form: str,
    verbose: int,
) -> int:
    """Run the troubleshooting log: does each entry still fail as stated, is it recognised, and does its remedy help?

    An incident that no longer reproduces is news, not an error; a remedy that does not help, or a failure that is not
    recognised, is one.
    """
    console = make_console()
    if only_list:
        log.list_incidents(console)
        return ExitCode.OK
    project = replace(project, matrix_file=log.MATRIX)
    session = Session(project, jobs or 0, fresh=fresh)
    entries = load_incidents()
    chosen = log.chosen_combinations(entries, session.combinations)
    records = run_all(session, chosen, display(-1 if form == "json" else verbose), publish=False)
    outcomes = log.judge(entries, session.combinations, records)
    write_atomically(session.store.folder / "incidents.json", json.dumps(log.view(outcomes), indent=1) + "\n")
    if form == "json":
        click.echo(log.as_json(outcomes))
    else:
        log.print_outcomes(console, outcomes)
    if any(Verdict.parse(each.verdict).status is Status.INFRA for each in records):
        return ExitCode.INFRASTRUCTURE
    helped = all(proof.finding != NO_HELP for each in outcomes for proof in each.remedies)
    return ExitCode.OK if helped and all(each.diagnosed for each in outcomes) else ExitCode.UNEXPECTED

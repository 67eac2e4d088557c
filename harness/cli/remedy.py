"""``lmdeploy-harness remedy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import format_option, project_options, verbose_option
from harness.cli.progress import display
from harness.cli.remedy_output import keep_trial, print_trial, trial_json
from harness.core.errors import ExitCode
from harness.matrix.project import MATRIX
from harness.remedy.apply import apply_remedy
from harness.remedy.trial import try_remedies
from harness.session.execute import run_all
from harness.session.publish import REMEDIES
from harness.session.session import Session

if TYPE_CHECKING:
    from harness.core.records import Record
    from harness.matrix import Combination
    from harness.matrix.project import Project


def failing(session: Session, pattern: str) -> Combination:
    """The one that a pattern can mean: of several, the one that is neither excluded nor known to pass."""
    chosen = session.select([pattern])
    candidates = [each for each in chosen if each.excluded is None] if len(chosen) > 1 else list(chosen)
    if len(candidates) > 1:
        known = session.known_verdicts(candidates)
        candidates = [each for each in candidates if known.get(each.id, "fail").startswith("fail")] or candidates
    if len(candidates) == 1:
        return candidates[0]
    listed = "\n".join(f"  {each.id}" for each in candidates or chosen)
    raise click.UsageError(f"'{pattern}' fits several combinations; which one?\n{listed}")


@click.command()
@click.argument("identity", metavar="ID")
@project_options
@click.option("--apply", "write", is_flag=True, help="Add the repaired combination to the matrix, comments kept.")
@format_option
@verbose_option
@guarded
def remedy(identity: str, project: Project, write: bool, form: str, verbose: int) -> int:
    """Propose what repairs combination ID, run it, and say whether it helped.

    A change is shown as verified only when the changed combination got past the stage on which ID failed. Changes build
    on each other: when one leads to the next failure, that one is repaired too.
    """
    if write and (project.borrowed or project.matrix_file.suffix == ".toml"):
        raise click.UsageError(f"--apply writes into a {MATRIX} of your own, and {project.matrix_file.name} is none")
    session = Session(project)
    combination = failing(session, identity)
    quiet = -1 if form == "json" else verbose

    def run_one(each: Combination) -> Record:
        return run_all(session, [each], display(quiet), publish=False)[0]

    trial = try_remedies(combination, run_one(combination), run_one)
    if form == "json":
        click.echo(trial_json(trial))
    else:
        print_trial(make_console(), trial)
    keep_trial(session.store.folder / f"{REMEDIES}.json", trial)
    if trial.verified is None:
        return ExitCode.UNEXPECTED if trial.failed.verdict.startswith("fail") else ExitCode.OK
    if write:
        apply_remedy(session.project.matrix_file, trial.verified)
        click.echo(f"added to {session.project.matrix_file.name}", err=True)
    return ExitCode.OK

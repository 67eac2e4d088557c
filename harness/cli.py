"""The command line: ``harness …``, also ``python -m harness …``.

Every nox session is a thin layer over one of these commands. Exit codes: 0 as expected, 1 an unexpected verdict, 2 a
bad file or usage, 4 infrastructure trouble, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from enum import IntEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from harness import __version__
from harness.child import CHILDREN, Cancelled
from harness.collect import collect_garbage
from harness.console import RunDisplay, make_console, print_plan, print_summary
from harness.diagnose.command import catalogue, explain
from harness.durable import write_atomically
from harness.incidents import command as log
from harness.incidents import load_incidents
from harness.incidents.verify import NO_HELP
from harness.matrix import IndexUnavailable, MatrixError
from harness.models import RandomWeights
from harness.project import Project
from harness.publish import Publisher
from harness.run import RunBroken
from harness.uv import UvFailure
from harness.verdict import Status, Verdict
from harness.weights import make_random_weights
from harness.workbench import NothingSelected, Workbench
from harness.workplan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.matrix import Combination
    from harness.records import Record, StageRecord

P = ParamSpec("P")


class ExitCode(IntEnum):
    """One code for each class of ending."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    INFRASTRUCTURE = 4
    INTERRUPTED = 130


def _guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Turn what a user can cause into one clear message and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except MatrixError as error:
            click.echo(str(error), err=True)
            code = ExitCode.USAGE
        except NothingSelected as error:
            click.echo(f"harness: {error}", err=True)
            code = ExitCode.USAGE
        except click.UsageError:
            raise  # click words it and ends with 2
        except (IndexUnavailable, UvFailure) as error:
            click.echo(f"harness: {error}", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (RunBroken, OSError) as error:
            click.echo(f"harness: {error}\nwhat was finished is kept; run again to continue", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (KeyboardInterrupt, Cancelled):
            CHILDREN.stop()
            click.echo("\nharness: interrupted; what was finished is kept, run again to continue", err=True)
            code = ExitCode.INTERRUPTED
        sys.exit(code)

    return run


_matrix = click.option(
    "--matrix",
    "matrix_file",
    type=click.Path(path_type=Path),
    default=Path("matrix.yaml"),
    show_default=True,
    metavar="FILE",
    help="The matrix; models/ and reports/ are looked for beside it.",
)
_reports = click.option(
    "--reports", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Where results are written."
)
_tags = click.option("-t", "--tag", "tags", multiple=True, help="Only combinations with this tag (repeatable: any of).")
_words = click.option("-k", "words", multiple=True, metavar="TEXT", help="Only ids that hold this text (all of them).")
_jobs = click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=None, help="Combinations at a time [default: one per core, ≤ 8]"
)
_refresh = click.option("--refresh", is_flag=True, help="Ask the index and the resolver again (else once a day).")
_format = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
_verbose = click.option("-v", "--verbose", count=True, help="A line for every stage.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Only what is unexpected.")
_patterns = click.argument("patterns", nargs=-1, metavar="[ID]...")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="harness")
def main() -> None:
    """Which lmdeploy, transformers, backend and model work together: test it, and read why.

    A typical first hour:

    \b
      harness plan                 what would run, and what it costs
      harness run -t quick         the troubleshooting log's stacks and a good one
      harness run                  the whole matrix; a second run does only what is new
      harness report               render reports/index.html from the results
    """


@main.command()
@_patterns
@_matrix
@_reports
@_tags
@_words
@_jobs
@click.option("--fresh", is_flag=True, help="Run again what is known already.")
@_refresh
@_format
@_verbose
@_quiet
@_guarded
def run(  # noqa: PLR0913, PLR0917 - one parameter for each option
    patterns: tuple[str, ...],
    matrix_file: Path,
    reports: Path | None,
    tags: tuple[str, ...],
    words: tuple[str, ...],
    jobs: int | None,
    fresh: bool,
    refresh: bool,
    form: str,
    verbose: int,
    quiet: bool,
) -> int:
    """Climb the ladder with every selected combination and write the report.

    ID may be a shell pattern such as 'lmdeploy0.11.1-*'. What an earlier run answered from the same lock, model and
    probes is not asked again.
    """
    bench = Workbench(Project.of(matrix_file, reports), jobs or 0, fresh=fresh, refresh=refresh)
    chosen = bench.select(patterns, tags, words)
    records = climb_all(bench, chosen, verbosity=-1 if quiet or form == "json" else verbose)
    publisher = Publisher(bench.store, [each.id for each in bench.combinations])
    page = publisher.publish_if_older()
    for complaint in bench.store.damage():
        click.echo(f"harness: {complaint}", err=True)
    if form == "json":
        click.echo(json.dumps([json.loads(each.model_dump_json()) for each in records], indent=1))
    else:
        print_summary(make_console(), records, page)
    return exit_code(records)


def climb_all(bench: Workbench, chosen: Sequence[Combination], *, verbosity: int, publish: bool = True) -> list[Record]:
    """Run the combinations with a display, and return their records in order.

    Raises:
        RunBroken: the harness could not go on.
        KeyboardInterrupt: stopped from the keyboard; no child is left.
    """
    publisher = Publisher(bench.store, [each.id for each in bench.combinations])
    with RunDisplay(make_console(stderr=True), len(chosen), verbosity) as display:
        running = bench.run(chosen, Announcer(display, publisher if publish else None))
        try:
            running.start()
            return [running.record(each.id) for each in chosen]
        finally:
            running.stop()


class Announcer:
    """Tells the display and the report of every result."""

    def __init__(self, display: RunDisplay, publisher: Publisher | None) -> None:
        self._display = display
        self._publisher = publisher

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """Show it."""
        self._display.stage_reached(combination, stage)

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """Show it, and render the report now and then."""
        self._display.finished(combination, record, known=known)
        if not known and self._publisher is not None:
            self._publisher.note_result()


def exit_code(records: Sequence[Record]) -> ExitCode:
    """Infrastructure trouble outranks nothing: an unexpected verdict is reported even beside it."""
    if any(each.as_expected is False for each in records):
        return ExitCode.UNEXPECTED
    if any(Verdict.parse(each.verdict).status is Status.INFRA for each in records):
        return ExitCode.INFRASTRUCTURE
    return ExitCode.OK


@main.command()
@_patterns
@_matrix
@_reports
@_tags
@_words
@_jobs
@_refresh
@_format
@_verbose
@_guarded
def plan(  # noqa: PLR0913, PLR0917 - one parameter for each option
    patterns: tuple[str, ...],
    matrix_file: Path,
    reports: Path | None,
    tags: tuple[str, ...],
    words: tuple[str, ...],
    jobs: int | None,
    refresh: bool,
    form: str,
    verbose: int,
) -> int:
    """Print what would run, before anything is installed: stacks, downloads, what is known, what stays blocked.

    Every combination is resolved (seconds), nothing is downloaded. -v lists each one.
    """
    bench = Workbench(Project.of(matrix_file, reports), jobs or 0, refresh=refresh)
    chosen = bench.select(patterns, tags, words)
    made = make_plan(
        chosen,
        bench.models,
        resolver=bench.resolver,
        environments=bench.environments,
        weights=bench.project.weights,
        known=bench.known_verdicts(chosen),
        jobs=bench.workers * 2,
    )
    if form == "text":
        print_plan(make_console(), made, every=verbose > 0)
        return ExitCode.OK
    listed = [
        {
            "id": each.combination.id,
            "stack": each.resolution.lock.name if each.resolution and each.resolution.lock else None,
            "expected": str(each.combination.expect),
            "known": each.known,
            "foreseen": str(each.foreseen) if each.foreseen is not None else None,
        }
        for each in made.planned
    ]
    totals = {"stacks": made.stacks, "stacks_built": made.stacks_built, "download_bytes": made.download_bytes}
    click.echo(json.dumps({**totals, "combinations": listed}, indent=1))
    return ExitCode.OK


@main.command()
@_matrix
@_reports
@_jobs
@click.option("--list", "only_list", is_flag=True, help="Name the incidents and run nothing.")
@click.option("--fresh", is_flag=True, help="Run again what is known already.")
@_format
@_verbose
@_guarded
def incidents(  # noqa: PLR0913, PLR0917 - one parameter for each option
    matrix_file: Path,
    reports: Path | None,
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
    project = replace(Project.of(matrix_file, reports), matrix_file=log.MATRIX)
    bench = Workbench(project, jobs or 0, fresh=fresh)
    entries = load_incidents()
    chosen = log.chosen_combinations(entries, bench.combinations)
    records = climb_all(bench, chosen, verbosity=-1 if form == "json" else verbose, publish=False)
    outcomes = log.judge(entries, bench.combinations, records)
    write_atomically(bench.store.folder / "incidents.json", json.dumps(log.view(outcomes), indent=1) + "\n")
    if form == "json":
        click.echo(log.as_json(outcomes))
    else:
        log.print_outcomes(console, outcomes)
    if any(Verdict.parse(each.verdict).status is Status.INFRA for each in records):
        return ExitCode.INFRASTRUCTURE
    helped = all(proof.finding != NO_HELP for each in outcomes for proof in each.remedies)
    return ExitCode.OK if helped and all(each.diagnosed for each in outcomes) else ExitCode.UNEXPECTED


@main.command()
@click.argument("name")
@_matrix
@_guarded
def weights(name: str, matrix_file: Path) -> int:
    """Make the random weights of model NAME: the architecture at its real size, for boot and latency."""
    bench = Workbench(Project.of(matrix_file))
    spec = bench.models.get(name)
    if spec is None or not isinstance(spec.weights, RandomWeights):
        random = ", ".join(each for each, spec in bench.models.items() if isinstance(spec.weights, RandomWeights))
        raise click.UsageError(f"{name!r} is no model with random weights; those are: {random or 'none'}")
    made = make_random_weights(spec, bench.project)
    click.echo(made)
    return ExitCode.OK


@main.command()
@_matrix
@_reports
@_guarded
def report(matrix_file: Path, reports: Path | None) -> int:
    """Render reports/index.html from the records, whatever matrix they came from."""
    project = Project.of(matrix_file, reports)
    bench = Workbench(project)
    for complaint in bench.store.damage():
        click.echo(f"harness: {complaint}", err=True)
    click.echo(Publisher(bench.store).publish())
    return ExitCode.OK


@main.command()
@_matrix
@_reports
@click.option("--all", "everything", is_flag=True, help="Also environments and answers that are still in use.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@_guarded
def gc(matrix_file: Path, reports: Path | None, everything: bool, dry_run: bool) -> int:
    """Delete environments, answers and locks that no latest record refers to. Records are never deleted."""
    freed = collect_garbage(Project.of(matrix_file, reports), everything=everything, dry_run=dry_run)
    click.echo(f"{'would free' if dry_run else 'freed'} {freed.bytes / 1e9:.2f} GB: {freed.what}")
    return ExitCode.OK


main.add_command(explain)
main.add_command(catalogue)

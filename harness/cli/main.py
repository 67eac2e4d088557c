"""The command line: ``lmdeploy-harness …``, also ``python -m harness …``.

Every nox session is a thin layer over one of these commands. Exit codes: 0 as expected, 1 an unexpected verdict, 2 a
bad file or usage, 4 infrastructure trouble, 130 interrupted.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.cli.console import inert_output, make_console
from harness.cli.guard import exit_code, guarded
from harness.cli.options import (
    SelectedIds,
    address_option,
    budget_option,
    executor_option,
    format_option,
    gpu_hours_option,
    jobs_option,
    matrix_option,
    project_options,
    quiet_option,
    refresh_option,
    selection_options,
    shard_option,
    verbose_option,
)
from harness.cli.progress import display
from harness.cli.run_output import print_plan, print_summary, tell_left
from harness.core.errors import ExitCode
from harness.matrix.models import RandomWeights
from harness.matrix.project import Project
from harness.pipeline.checkpoints import MADE, find_checkpoint, make_random_weights
from harness.scheduling.budget import Budget
from harness.scheduling.merge import merge, part_of, write_part
from harness.scheduling.shards import parse_shard
from harness.session.execute import run_all
from harness.session.executor import make_executor
from harness.session.garbage import collect_garbage
from harness.session.miniatures import make_missing
from harness.session.plan import make_plan
from harness.session.publish import Publisher
from harness.session.session import Session

_ELSEWHERE = {
    "bisect": "harness.cli.bisect:bisect",
    "drift": "harness.cli.bisect:drift",
    "pin": "harness.cli.pin:pin",
    "baseline": "harness.cli.gate:baseline",
    "bundle": "harness.cli.bundle:bundle_command",
    "gate": "harness.cli.gate:gate",
    "gate-merge": "harness.cli.gate:gate_merge",
    "import": "harness.cli.bundle:import_command",
    "init": "harness.cli.init:init",
    "catalogue": "harness.cli.explain:catalogue",
    "compare": "harness.cli.compare:compare",
    "explain": "harness.cli.explain:explain",
    "incidents": "harness.cli.incidents:incidents",
    "model": "harness.cli.model:model",
    "remedy": "harness.cli.remedy:remedy",
    "results": "harness.cli.results:results",
    "node": "harness.cli.node:node",
    "scan": "harness.cli.scan:scan",
    "suggest": "harness.cli.scan:suggest",
    "symbol": "harness.cli.scan:symbol",
    "why-not": "harness.cli.scan:why_not",
    "scan-truth": "harness.cli.scan:scan_truth",
    "stacks": "harness.cli.stacks:stacks",
}


class _Commands(click.Group):
    """Commands of other packages, loaded when they are asked for: most of them take longer to load than to run."""

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's own
        """Run a command; nothing that it prints is obeyed."""
        with inert_output():
            return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported if it lives elsewhere."""
        place = _ELSEWHERE.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="lmdeploy-harness")
def main() -> None:
    """Which lmdeploy, transformers, backend and model work together: test it, and read why.

    A typical first hour:

    \b
      lmdeploy-harness plan                 what would run, and what it costs
      lmdeploy-harness run -t quick         the troubleshooting log's stacks and a good one
      lmdeploy-harness run                  the whole matrix; a second run does only what is new
      lmdeploy-harness report               render reports/index.html from the results
    """


@main.command()
@selection_options
@project_options
@jobs_option
@click.option("--fresh", is_flag=True, help="Run again what is known already.")
@refresh_option
@executor_option
@address_option
@budget_option
@gpu_hours_option
@shard_option
@click.option(
    "--skip-impossible", is_flag=True, help="Leave out what the scan is sure would fail; told with its reason."
)
@format_option
@verbose_option
@quiet_option
@guarded
def run(  # noqa: PLR0913, PLR0917 - one parameter for each option
    selection: SelectedIds,
    project: Project,
    jobs: int | None,
    fresh: bool,
    refresh: bool,
    executor: str,
    address: str | None,
    budget: float | None,
    gpu_hours: float | None,
    share: str | None,
    skip_impossible: bool,
    form: str,
    verbose: int,
    quiet: bool,
) -> int:
    """Run every selected combination and write the report.

    ID may be a shell pattern such as 'lmdeploy0.11.1-*'. What an earlier run answered from the same lock, model and
    probes is not asked again.
    """
    allowed = Budget(budget, gpu_hours * 3600 if gpu_hours is not None else None) if budget or gpu_hours else None
    session = Session(project, jobs or 0, fresh=fresh, refresh=refresh, budget=allowed)
    session.demand_versions()
    chosen = session.select(*selection)
    if skip_impossible:
        chosen = session.without_impossible(chosen)
    if share is not None:
        chosen, part = part_of(chosen, parse_shard(share))
        write_part(session.project.reports, part)
    session = replace(session, executor=make_executor(session, chosen, executor, address))
    records = run_all(session, chosen, display(-1 if quiet or form == "json" else verbose))
    tell_left(chosen, records, allowed, verbosity=verbose)
    publisher = Publisher(session.store, session)
    page = publisher.publish_if_older()
    for complaint in publisher.complaints():
        click.echo(f"harness: {complaint}", err=True)
    if form == "json":
        click.echo(json.dumps([json.loads(each.model_dump_json()) for each in records], indent=1))
    else:
        print_summary(make_console(), records, page)
    return exit_code(records)


@main.command("merge")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, file_okay=False), metavar="REPORTS...")
@project_options
@guarded
def merge_shards(folders: tuple[Path, ...], project: Project) -> None:
    """Put the shards of one run together; incomplete ones, or shards of different runs, are refused.

    REPORTS are the folders that 'lmdeploy-harness run --shard K/N --reports FOLDER' wrote, one for each shard.
    """
    session = Session(project)
    merged = merge(folders, session.store)
    page = Publisher(session.store, session).publish()
    click.echo(f"{len(merged.added)} records added to {session.store.file}, {merged.known} were there; report: {page}")


@main.command()
@selection_options
@project_options
@jobs_option
@refresh_option
@format_option
@verbose_option
@guarded
def plan(  # noqa: PLR0913, PLR0917 - one parameter for each option
    selection: SelectedIds,
    project: Project,
    jobs: int | None,
    refresh: bool,
    form: str,
    verbose: int,
) -> int:
    """Print what would run, before anything is installed: stacks, downloads, what is known, what stays blocked.

    Every combination is resolved (seconds), nothing is downloaded. -v lists each one.
    """
    session = Session(project, jobs or 0, refresh=refresh)
    session.demand_versions()
    chosen = session.select(*selection)
    made = make_plan(
        chosen,
        session.models,
        resolver=session.resolver,
        environments=session.environments,
        weights=session.project.weights,
        known=session.known_verdicts(chosen),
        jobs=session.workers * 2,
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
            "emulated": each.emulated,
        }
        for each in made.planned
    ]
    totals = {"stacks": made.stacks, "stacks_built": made.stacks_built, "download_bytes": made.download_bytes}
    click.echo(json.dumps({**totals, "combinations": listed}, indent=1))
    return ExitCode.OK


@main.command()
@click.argument("name")
@matrix_option
@guarded
def weights(name: str, matrix_file: Path | None) -> int:
    """Make the weights of model NAME: random ones of its real size, for boot and latency, or its miniature."""
    session = Session(Project.found(matrix_file))
    spec = session.models.get(name)
    if spec is None or spec.weights.kind not in MADE:
        makeable = ", ".join(each for each, spec in session.models.items() if spec.weights.kind in MADE)
        raise click.UsageError(f"the weights of {name!r} are not made here; those of these are: {makeable or 'none'}")
    if isinstance(spec.weights, RandomWeights):
        make_random_weights(spec, session.project)
    else:
        make_missing(session, [spec])
    found = find_checkpoint(spec, session.project.weights)
    click.echo(found.folder or f"harness: {found.missing}", err=found.folder is None)
    return ExitCode.OK if found.folder is not None else ExitCode.USAGE


@main.command()
@project_options
@click.option("--all", "everything", is_flag=True, help="Every record, whatever matrix it came from.")
@click.option("--joined", is_flag=True, help="Every record of every machine, those of the reference runs too.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write it there [default: the reports]")
@guarded
def report(project: Project, everything: bool, joined: bool, out: Path | None) -> None:
    """Render reports/index.html from the records of the matrix's combinations.

    Records that were taken over from other machines are on it, marked. The answers count the reference runs, too.
    """
    session = Session(project)
    publisher = Publisher(session.store, session, everything=everything or joined, joined=joined, out=out)
    page = publisher.publish()
    for complaint in publisher.complaints():
        click.echo(f"harness: {complaint}", err=True)
    for complaint in session.sources.doubtful:
        click.echo(f"harness: no evidence: {complaint}", err=True)
    click.echo(page)


@main.command()
@project_options
@click.option("--all", "everything", is_flag=True, help="Also environments and answers that are still in use.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@guarded
def gc(project: Project, everything: bool, dry_run: bool) -> None:
    """Delete environments, answers and locks that no latest record refers to. Records are never deleted."""
    freed = collect_garbage(project, everything=everything, dry_run=dry_run)
    click.echo(f"{'would free' if dry_run else 'freed'} {freed.bytes / 1e9:.2f} GB: {freed.what}")

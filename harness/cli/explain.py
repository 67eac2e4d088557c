"""``harness explain`` and the upkeep of the catalogue, as click commands for the command line to mount."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.diagnose.catalogue import CatalogueError
from harness.diagnose.explain import FORMATS, Format, StackError, read_stack
from harness.diagnose.explain import explain as explain_log
from harness.diagnose.fixtures import FixtureError
from harness.diagnose.fixtures import bless as bless_fixtures
from harness.diagnose.health import CasesError, Coverage, Health, cover, cover_without_own, examine, load_cases

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("logfile", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--stack", type=_FILE, help="Installed packages: a pylock.toml, or lines name==version as pip freeze has them."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
def explain(logfile: Path, stack: Path | None, form: Format) -> None:
    """Say what went wrong in LOGFILE, and what to do about it ("-" reads standard input).

    Any log will do: a traceback, a server's log of any size, what pip or uv printed, or text pasted from an issue.
    """
    try:
        packages = read_stack(stack) if stack else None
        source = sys.stdin.buffer if str(logfile) == "-" else logfile
        answer = explain_log(source, packages, form)
    except StackError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"cannot read {error.filename or logfile}: {error.strerror}") from error
    click.echo(answer)


@click.group()
def catalogue() -> None:
    """Look after the catalogue of known failures."""


@catalogue.command()
def bless() -> None:
    """Write the marks in all fixtures anew; fails if a fixture does not show what it should."""
    try:
        problems = bless_fixtures()
    except (FixtureError, CatalogueError) as error:
        raise click.UsageError(str(error)) from error
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(1 if problems else 0)


@catalogue.command()
@click.option("--cases", type=_FILE, help="Labelled failures to measure with (YAML).")
def health(cases: Path | None) -> None:
    """Show dead, shadowed and unproven signatures, and how much of CASES is covered."""
    try:
        report = examine()
        click.echo(_health_text(report))
        if cases is not None:
            labelled = load_cases(cases)
            click.echo(_coverage_text("coverage", cover(labelled)))
            click.echo(_coverage_text("without the signatures that cite the case", cover_without_own(labelled)))
    except (FixtureError, CatalogueError, CasesError) as error:
        raise click.UsageError(str(error)) from error
    sys.exit(0 if report.sound else 1)


@catalogue.command()
def boundaries() -> None:
    """Derive the table of version boundaries anew from the index (about half a gigabyte of downloads)."""
    from harness.diagnose.derive import refresh  # noqa: PLC0415 - only this command needs uv and its children
    from harness.environments.uv import UvFailure  # noqa: PLC0415 - same reason

    try:
        click.echo(f"{refresh()} releases were read")
    except UvFailure as error:
        click.echo(str(error), err=True)
        sys.exit(4)


def _health_text(report: Health) -> str:
    lines = [
        f"signatures {report.signatures}: " + ", ".join(f"{n} {tier}" for tier, n in report.tiers.items()),
        f"families   {len(report.families)}: "
        + ", ".join(f"{family} {n}" for family, n in sorted(report.families.items())),
        f"fixtures   {report.fixtures}, {report.own_runs} of them own runs",
    ]
    for label, names in (
        ("dead", report.dead),
        ("without a match", report.without_match),
        ("without a near miss", report.without_near_miss),
        ("takes a near miss for it", report.mistaken),
    ):
        lines += [f"{label}: {', '.join(names)}"] if names else []
    lines += [f"shadowed: {name} by {', '.join(others)}" for name, others in report.shadowed.items()]
    return "\n".join([*lines, "sound" if report.sound else "not sound"])


def _coverage_text(title: str, coverage: Coverage) -> str:
    lines = [f"{title}: {coverage.share:.1%}"]
    for family, total in sorted(coverage.total.items()):
        lines.append(f"  {family:32} {coverage.right[family]}/{total}")
    for case, diagnosis in [*coverage.missed, *coverage.alarms]:
        lines.append(f"  missed {case.name}: {diagnosis.family} ({diagnosis.signature})")
    return "\n".join(lines)

"""``lmdeploy-harness explain`` and the upkeep of the catalogue, as click commands for the command line to mount."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from packaging.utils import canonicalize_name

from harness.cli.guard import guarded
from harness.cli.log_source import log_source
from harness.core.errors import ExitCode
from harness.diagnose.explain import FORMATS, Format
from harness.diagnose.explain import explain as explain_log
from harness.diagnose.fixtures import bless as bless_fixtures
from harness.diagnose.health import Coverage, Health, cover, cover_without_own, examine, load_cases
from harness.diagnose.stack import read_stack

if TYPE_CHECKING:
    from harness.core.presence import Presence

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("logfile", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--stack",
    type=_FILE,
    help="Installed packages: a pylock.toml, or what pip freeze, pip list or lmdeploy check_env prints.",
)
@click.option("--offline", is_flag=True, help="Ask no package index which versions have a missing name.")
@click.option("--propose", is_flag=True, help="Propose a signature for a failure that none recognises.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@guarded
def explain(logfile: Path, stack: Path | None, form: Format, *, offline: bool, propose: bool) -> None:
    """Say what went wrong in LOGFILE, and what to do about it ("-" reads standard input).

    Any log will do: a traceback, a server's log of any size, what pip or uv printed, or text pasted from an issue.
    """
    packages = read_stack(stack) if stack else None
    from harness.cli.resolved import resolved  # noqa: PLC0415 - keeps `lmdeploy-harness --help` quick

    resolve = partial(resolved, offline=offline)
    if offline:
        with log_source(logfile) as source:
            click.echo(explain_log(source, packages, form, propose=propose, resolve=resolve))
        return
    from harness.diagnose.boundaries import shipped  # noqa: PLC0415 - only where the index is asked
    from harness.diagnose.missing import InTurn  # noqa: PLC0415 - as above
    from harness.scan.answers.symbols import NamesOfReleases  # noqa: PLC0415 - as above
    from harness.scan.sources.release import Library  # noqa: PLC0415 - as above

    library = Library()
    try:
        names = NamesOfReleases(library)
        lookup = InTurn(shipped(), names)
        with log_source(logfile) as source:
            click.echo(explain_log(source, packages, form, lookup=lookup, propose=propose, resolve=resolve))
    finally:
        library.close()
    if names.trouble:
        click.echo(f"The index was not asked for versions: {names.trouble}", err=True)


@click.group()
def catalogue() -> None:
    """Look after the catalogue of known failures."""


@catalogue.command()
@guarded
def bless() -> int:
    """Write the marks in all fixtures anew; fails if a fixture does not show what it should."""
    problems = bless_fixtures()
    for problem in problems:
        click.echo(problem, err=True)
    return ExitCode.UNEXPECTED if problems else ExitCode.OK


@catalogue.command()
@click.option("--cases", type=_FILE, help="Labelled failures to measure with (YAML).")
@guarded
def health(cases: Path | None) -> int:
    """Show dead, shadowed and unproven signatures, and how much of CASES is covered."""
    report = examine()
    click.echo(_health_text(report))
    if cases is not None:
        labelled = load_cases(cases)
        click.echo(_coverage_text("coverage", cover(labelled)))
        click.echo(_coverage_text("without the signatures that cite the case", cover_without_own(labelled)))
    return ExitCode.OK if report.sound else ExitCode.UNEXPECTED


@catalogue.command()
@click.argument("names", nargs=-1)
@guarded
def boundaries(names: tuple[str, ...]) -> None:
    """Derive the table of version boundaries anew from the index, with further NAMES of any packages."""
    from harness.diagnose.boundaries import Boundaries, shipped, write  # noqa: PLC0415 - only this command needs them
    from harness.scan.answers.symbols import presence_of  # noqa: PLC0415 - as above
    from harness.scan.sources.release import Library  # noqa: PLC0415 - as above

    by_package: dict[str, list[str]] = {}
    for name, presence in shipped().names.items():
        by_package.setdefault(presence.package, []).append(name)
    for name in names:
        by_package.setdefault(canonicalize_name(name.partition(".")[0]), []).append(name)
    found: dict[str, Presence] = {}
    library = Library()
    try:
        for package, wanted in by_package.items():
            found |= presence_of(library, wanted, package=package)
    finally:
        library.close()
    write(Boundaries(datetime.now(UTC).date().isoformat(), found))
    click.echo(f"{len(found)} names of {', '.join(sorted({each.package for each in found.values()}))}")


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

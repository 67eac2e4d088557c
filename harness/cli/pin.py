"""``lmdeploy-harness pin`` and ``lmdeploy-harness pin verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.guard import guarded
from harness.cli.options import project_options
from harness.core.errors import ExitCode
from harness.core.files import write_atomically
from harness.environments.interpreters import NoInterpreter
from harness.environments.uv import UvFailure
from harness.matrix import Backend
from harness.matrix.quantities import gibibytes
from harness.pin.advisories import DATABASES, Audit, audit
from harness.pin.choose import Wish, choose
from harness.pin.evidence import Pin, with_reproduction
from harness.pin.verify import verify_pin
from harness.pin.write import EVIDENCE, requirements, write_pin
from harness.session.publish import Publisher
from harness.session.session import Session

if TYPE_CHECKING:
    from harness.matrix.project import Project


@click.group(invoke_without_command=True)
@click.option("--model", metavar="NAME", help="[default: the model that the report leads with]")
@click.option("--python", metavar="VERSION", help="Only what was tested on this Python.")
@click.option("--backend", type=click.Choice(["any", *map(str, Backend)]), default="any", show_default=True)
@click.option("--gpu-memory", metavar="SIZE", help="What the target's GPU has, e.g. 8GiB.")
@click.option(
    "--prefer", type=click.Choice(["latency", "newest", "smallest"]), help="[default: as the report ranks them]"
)
@click.option("--partial", is_flag=True, help="Take also what passed only all that its machine could run.")
@click.option("--name", metavar="NAME", help="Folder below reports/pins [default: the combination's id]")
@click.option(
    "--advisories",
    metavar="pypi|osv|URL|none",
    help="Where known vulnerabilities are looked up; URL: a server that answers as OSV's does "
    "[default: pypi, and osv where that cannot be had]",
)
@click.option("--verify/--no-verify", "verified", default=True, help="Install the pin afresh and compare [default: do]")
@project_options
@click.pass_context
def pin(context: click.Context, /, **options: object) -> None:
    """Choose a stack that a run has proven and that fits the target, and write it with its evidence.

    What is written is installed afresh and compared with the tested stack, and its known vulnerabilities are looked up.

    Exit codes: 0 written and reproduced, 1 not reproduced, 2 usage, 3 nothing fits (what came nearest and what stands
    in the way is said), 4 it could not be installed for lack of network or disk.
    """
    if context.invoked_subcommand is None:
        context.invoke(_write, **options)


@guarded
def _write(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: str | None,
    python: str | None,
    backend: str,
    gpu_memory: str | None,
    prefer: str | None,
    partial: bool,
    name: str | None,
    advisories: str | None,
    verified: bool,
    project: Project,
) -> int:
    session = Session(project)
    publisher = Publisher(session.store, session)
    extras = publisher.extras()
    lead = extras.get("choice")
    asked = model or (str(lead["model"]) if isinstance(lead, dict) else session.combinations[0].model)
    if asked not in session.models:
        raise click.UsageError(f"there is no model {asked!r}; there are: {', '.join(session.models)}")
    if name is not None and Path(name).name != name:
        raise click.UsageError(f"--name {name!r} is no plain name; write one without slashes")
    _check_database(advisories)
    wish = Wish(asked, python, None if backend == "any" else backend, _gib(gpu_memory), prefer, partial)
    outcome = choose(publisher.records(), wish, session.models[asked], session.project.locks, extras)
    if outcome.best is None:
        click.echo(f"nothing fits. {outcome.nearest}")
        return ExitCode.NOTHING_TO_DO
    best, spec = outcome.best, session.models[asked]
    click.echo(f"{best.record.id}: {best.answer.claim}")
    for each, why in outcome.rejected.items():
        click.echo(f"  not {each}: {why}")
    audited = _audited(requirements(best.lock, spec), advisories)
    click.echo(f"known vulnerabilities: {audited.sentence()}")
    folder = session.project.reports / "pins" / (name or best.record.id)
    files = write_pin(folder, Pin(best, outcome, wish, spec, audited, datetime.now(UTC)))
    click.echo(f"{folder}: {', '.join(files)}")
    return _reproduced(folder) if verified else ExitCode.OK


@pin.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@guarded
def verify(folder: Path) -> int:
    """Install the pin in FOLDER into a fresh environment and check that it is the tested stack exactly."""
    return _compared(folder)[0]


def _reproduced(folder: Path) -> int:
    """Install what was just written and put into the evidence what that came to."""
    try:
        code, said = _compared(folder)
    except NoInterpreter as trouble:
        code, said = ExitCode.OK, f"Not installed here: {trouble}."
        click.echo(f"not verified: {trouble}", err=True)
    except UvFailure as failure:
        code, said = ExitCode.INFRASTRUCTURE, f"Could not be installed here ({failure.kind})."
        click.echo(f"not verified: {failure}", err=True)
    file = folder / EVIDENCE
    write_atomically(file, with_reproduction(file.read_text(encoding="utf-8"), said), durable=True)
    return code


def _compared(folder: Path) -> tuple[ExitCode, str]:
    count, problems = verify_pin(folder)
    for each in problems:
        click.echo(each)
    said = f"{count} packages installed; {'not the tested stack' if problems else 'identical to the tested stack'}"
    click.echo(said)
    return (
        ExitCode.UNEXPECTED if problems else ExitCode.OK,
        f"Installed afresh on {datetime.now(UTC):%Y-%m-%d}: {said}.",
    )


def _check_database(text: str | None) -> None:
    if text not in {None, "none", *DATABASES} and not str(text).startswith(("http://", "https://")):
        raise click.UsageError(f"--advisories takes pypi, osv, none or the address of an OSV server, not {text!r}")


def _audited(text: str, database: str | None) -> Audit:
    if database == "none":
        return Audit("nobody", trouble="it was not asked for")
    return audit(text, database)


def _gib(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        size = gibibytes(text)
    except ValueError as error:
        raise click.UsageError(f"--gpu-memory {text!r}: {error}") from None
    return float(str(size))

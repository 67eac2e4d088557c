"""``lmdeploy-harness pin`` and ``lmdeploy-harness pin verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.guard import guarded
from harness.cli.options import gpu_gib, project_options
from harness.core.errors import ExitCode
from harness.core.files import read_text, write_atomically
from harness.environments.interpreters import NoInterpreter
from harness.environments.uv import UvFailure
from harness.evidence.subjects import find_subject
from harness.evidence.told import level_words, shown_line
from harness.matrix import Backend
from harness.pin.advisories import DATABASES, Audit, audit
from harness.pin.choose import PREFERENCES, Wish, choose_stack
from harness.pin.evidence import Pin, with_reproduction
from harness.pin.verify import verify_pin
from harness.pin.write import EVIDENCE, requirements, write_pin
from harness.session.publish import choice_of
from harness.session.session import Session

if TYPE_CHECKING:
    from harness.matrix.project import Project
    from harness.pin.choose import Chosen


@click.group(invoke_without_command=True)
@click.option(
    "--model",
    metavar="NAME",
    help="A spec, a hub id, or a model that is built alike [default: as the report]",
)
@click.option("--python", metavar="VERSION", help="Only what was tested on this Python.")
@click.option("--backend", type=click.Choice(["any", *map(str, Backend)]), default="any", show_default=True)
@click.option("--gpu-memory", metavar="SIZE", help="What the target's GPU has, e.g. 8GiB.")
@click.option("--prefer", type=click.Choice(PREFERENCES), help="[default: as the report ranks them]")
@click.option("--partial", is_flag=True, help="Take also what no engine has served on any machine.")
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
    if name is not None and (Path(name).name != name or name in {"", ".", ".."} or not name.isprintable()):
        raise click.UsageError(f"--name {name!r} is no plain name; write one without slashes")
    _check_database(advisories)
    session = Session(project)
    asked = find_subject(model, session.knowledge.subjects).name if model else _default(session)
    memory = gpu_gib(gpu_memory) if gpu_memory is not None else None
    wish = Wish(asked, python, None if backend == "any" else backend, memory, prefer, partial)
    outcome = choose_stack(session.sources, session.knowledge, wish)
    if outcome.best is None:
        click.echo(f"nothing fits. {outcome.nearest}")
        _tell_rejected(outcome)
        return ExitCode.NOTHING_TO_DO
    best, spec = outcome.best, session.models[asked]
    click.echo(f"{best.name}: {level_words(best.known)}. {shown_line(session.knowledge, best.known).text}")
    _tell_rejected(outcome)
    audited = _audited(requirements(best.lock, spec), advisories)
    click.echo(f"known vulnerabilities: {audited.sentence()}")
    folder = session.project.reports / "pins" / (name or best.name)
    files = write_pin(folder, Pin(best, outcome, session.knowledge, wish, spec, audited, datetime.now(UTC)))
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
    write_atomically(file, with_reproduction(read_text(file), said), durable=True)
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


def _default(session: Session) -> str:
    """What the report leads with: the matrix's first model from the hub, else its first one."""
    lead = choice_of(session.combinations, session.models)
    return str(lead["model"]) if lead is not None else session.combinations[0].model


def _tell_rejected(outcome: Chosen) -> None:
    for each in outcome.rejected:
        click.echo(f"  not {each.words}")

"""``harness pin`` and ``harness pin verify``."""

from __future__ import annotations

from pathlib import Path

import click

from harness.endings import ExitCode, guarded
from harness.interpreters import NoInterpreter
from harness.matrix import Backend
from harness.matrix.quantities import gibibytes
from harness.options import matrix_option, reports_option
from harness.pin.choose import Wish, choose
from harness.pin.verify import NoPin, verify_pin
from harness.pin.write import write_pin
from harness.project import Project
from harness.publish import Publisher
from harness.workbench import Workbench

NOTHING_FITS = 3


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
@matrix_option
@reports_option
@click.pass_context
def pin(context: click.Context, /, **_options: object) -> None:
    """Choose a stack that a run has proven and that fits the target, and write it with its evidence.

    Exit code 3: nothing fits; what came nearest and what stands in the way is said.
    """
    if context.invoked_subcommand is None:
        context.invoke(_write, **context.params)


@guarded
def _write(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: str | None,
    python: str | None,
    backend: str,
    gpu_memory: str | None,
    prefer: str | None,
    partial: bool,
    name: str | None,
    matrix_file: Path,
    reports: Path | None,
) -> int:
    bench = Workbench(Project.of(matrix_file, reports))
    publisher = Publisher(bench.store, bench)
    extras = publisher.extras()
    lead = extras.get("choice")
    asked = model or (str(lead["model"]) if isinstance(lead, dict) else bench.combinations[0].model)
    if asked not in bench.models:
        raise click.UsageError(f"there is no model {asked!r}; there are: {', '.join(bench.models)}")
    if name is not None and Path(name).name != name:
        raise click.UsageError(f"--name {name!r} is no plain name; write one without slashes")
    wish = Wish(asked, python, None if backend == "any" else backend, _gib(gpu_memory), prefer, partial)
    outcome = choose(publisher.records(), wish, bench.models[asked], bench.project.locks, extras)
    if outcome.best is None:
        click.echo(f"nothing fits. {outcome.nearest}")
        return NOTHING_FITS
    best = outcome.best
    folder = bench.project.reports / "pins" / (name or best.record.id)
    files = write_pin(folder, best, outcome, wish, bench.models[asked])
    click.echo(f"{best.record.id}: {best.answer.claim}")
    for each, why in outcome.rejected.items():
        click.echo(f"  not {each}: {why}")
    click.echo(f"{folder}: {', '.join(files)}")
    return ExitCode.OK


@pin.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@guarded
def verify(folder: Path) -> int:
    """Install the pin in FOLDER into a fresh environment and check that it is the tested stack exactly."""
    try:
        count, problems = verify_pin(folder)
    except (NoPin, NoInterpreter) as trouble:
        raise click.UsageError(str(trouble)) from None
    for each in problems:
        click.echo(each)
    click.echo(f"{count} packages installed; {'not the tested stack' if problems else 'identical to the tested stack'}")
    return ExitCode.UNEXPECTED if problems else ExitCode.OK


def _gib(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        size = gibibytes(text)
    except ValueError as error:
        raise click.UsageError(f"--gpu-memory {text!r}: {error}") from None
    return float(str(size))

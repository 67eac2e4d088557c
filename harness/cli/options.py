"""Options that several commands share, declared once."""

from __future__ import annotations

import math
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from harness.core.program import NAME
from harness.matrix.project import MATRIX, Project
from harness.matrix.quantities import gibibytes, seconds
from harness.matrix.words import holds

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class _Duration(click.ParamType[float]):
    """Seconds, written as in the matrix."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; click words the complaint."""
        try:
            return float(str(seconds(value)))
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


class _Hours(click.FloatRange):
    """A range does not hold what compares with nothing."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The hours; click words the complaint."""
        hours = float(super().convert(value, param, ctx))
        return hours if math.isfinite(hours) else self.fail(f"{value!r} is no number of hours.", param, ctx)


DURATION = _Duration()
matrix_option = click.option(
    "--matrix",
    "matrix_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The matrix; models/ and reports/ are beside it, or beside the folder matrices/ that it is in "
    "[default: matrix.yaml, or pyproject.toml with a table for it, here or above; else the shipped one].",
)
reports_option = click.option(
    "--reports", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Where results are written."
)


def _expressions(_context: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            holds(each)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return value


tags_option = click.option(
    "-t", "--tag", "tags", multiple=True, help="Only combinations with this tag (repeatable: any of)."
)
words_option = click.option(
    "-k",
    "words",
    multiple=True,
    metavar="WORDS",
    callback=_expressions,
    help="Only ids that hold these words, joined by and, or, not: 'lmdeploy0.18.0 and not pytorch'.",
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=None, help="Combinations at a time [default: one per core, ≤ 8]"
)
refresh_option = click.option("--refresh", is_flag=True, help="Ask the index and the resolver again (else once a day).")
format_option = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
verbose_option = click.option("-v", "--verbose", count=True, help="A line for every stage.")
executor_option = click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where the work is done: here, or on the nodes of a Ray cluster (needs the extra 'ray').",
)
address_option = click.option(
    "--address", metavar="auto|HOST:PORT", help="The Ray cluster to join [default: one is made here for the run]."
)
budget_option = click.option(
    "--budget", type=DURATION, metavar="TIME", help="Stop after this time, such as 2h; what tells most runs first."
)
gpu_hours_option = click.option(
    "--gpu-hours", type=_Hours(min=0, min_open=True), help="Begin no boot beyond this much time on GPUs."
)
shard_option = click.option(
    "--shard", "share", metavar="K/N", help="Run only this part; 'lmdeploy-harness merge' puts the parts together."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only what is unexpected.")
patterns_option = click.argument("patterns", nargs=-1, metavar="[ID]...")


def gpu_gib(text: str) -> float:
    """The size that ``--gpu-memory`` names."""
    try:
        return float(str(gibibytes(text)))
    except ValueError as error:
        raise click.UsageError(f"--gpu-memory {text!r}: {error}") from None


class SelectedIds(NamedTuple):
    """Which combinations a command is about; see :meth:`harness.session.session.Session.select`."""

    patterns: tuple[str, ...]
    tags: tuple[str, ...]
    words: tuple[str, ...]


def project_options(command: Callable[..., T]) -> Callable[..., T]:
    """--matrix and --reports; the command is given the ``project`` that they name."""

    @matrix_option
    @reports_option
    @wraps(command)
    def run(*args: object, matrix_file: Path | None, reports: Path | None, **options: object) -> T:
        project = Project.found(matrix_file, reports)
        if project.borrowed:
            said = f"no {MATRIX} here or above: this is the shipped one; '{NAME} init' writes one of your own"
            click.echo(f"harness: {said}", err=True)
        return command(*args, project=project, **options)

    return run


def selection_options(command: Callable[..., T]) -> Callable[..., T]:
    """[ID]..., -t and -k; the command is given them as its ``selection``."""

    @patterns_option
    @tags_option
    @words_option
    @wraps(command)
    def run(
        *args: object, patterns: tuple[str, ...], tags: tuple[str, ...], words: tuple[str, ...], **options: object
    ) -> T:
        return command(*args, selection=SelectedIds(patterns, tags, words), **options)

    return run

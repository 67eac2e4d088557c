"""``harness stacks``: the one answer from everything that is known."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import gpu_gib, project_options
from harness.core.errors import ExitCode
from harness.core.markdown import plain, table
from harness.engines import Backend
from harness.evidence.choice import Target, choose, memory_of, named, why
from harness.evidence.levels import Level
from harness.evidence.sources import Sources
from harness.evidence.subjects import find_subject, subjects_of
from harness.evidence.told import conflict_lines, level_words, memory_line, not_shown_line, room_words, shown_line
from harness.matrix.model_files import load_models
from harness.report.badges import write_badges
from harness.report.sources import sources_of
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.evidence.choice import Choice
    from harness.evidence.stacks import Knowledge, Known
    from harness.matrix.project import Project

_HEAD = ("model", "backend", "recommended", "level", "why", "runner-up")


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--backend", type=click.Choice([*map(str, Backend)]), help="Only this one.")
@click.option("--python", metavar="VERSION", help="Only stacks that are known for this Python.")
@click.option(
    "--gpu-memory", metavar="SIZE", help="What the target's GPU has, e.g. 8GiB [default: the matrix's target]"
)
@click.option(
    "--records",
    "further",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    metavar="FOLDER",
    help="Another machine's reports folder to take in too (repeatable).",
)
@click.option(
    "--badges",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write there a badge for shields.io of each model and backend, and answers.json.",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@project_options
@guarded
def stacks(  # noqa: PLR0913, PLR0917 - one parameter for each option
    models: tuple[str, ...],
    backend: str | None,
    python: str | None,
    gpu_memory: str | None,
    further: tuple[Path, ...],
    badges: Path | None,
    form: str,
    project: Project,
) -> int:
    """Tell which stack to use for each model and backend, how that is known, and which one comes next.

    Reads this machine's records, those in reports/imported and reports/reference, and the scan's map; runs nothing and
    asks nobody. MODEL is a spec's name, a hub id, or any published model of an architecture that is known; with one,
    every stack is told with its level.

    Exit code 3 when nothing speaks for any stack.
    """
    session = Session(project, further=further)
    target = session.target if gpu_memory is None else replace(session.target, gpu_gib=gpu_gib(gpu_memory))
    target = replace(target, python=python)
    choices = chosen(session.knowledge, models, backend, target)
    if badges is not None:
        names = write_badges(badges, choices, [to_json(session.knowledge, each) for each in choices])
        click.echo(f"{len(names)} files in {badges}")
    elif form == "json":
        click.echo(json.dumps([to_json(session.knowledge, each) for each in choices], indent=1))
    elif form == "markdown":
        click.echo(
            table(_HEAD, [[plain(cell) for cell in _row(session.knowledge, each)] for each in choices]), nl=False
        )
    elif len(models) == 1:
        for each in choices:
            _detail(session.knowledge, each)
    else:
        _table(session.knowledge, choices)
    for source in sources_of(session.knowledge.sightings, datetime.now(UTC)):
        if source.stale:
            newest = f"it knows nothing newer than {source.last[:10]}"
            click.echo(f"{source.name} is {source.days} days old; {newest}", err=True)
    return ExitCode.OK if any(each.best is not None for each in choices) else ExitCode.NOTHING_TO_DO


def chosen(knowledge: Knowledge, models: Sequence[str], backend: str | None, target: Target) -> list[Choice]:
    """The answer for each model and backend of which something is known.

    Raises:
        UnknownSubject: no model goes by one of the names.
    """
    tried = {each.model for each in knowledge.sightings}
    names = [find_subject(each, knowledge.subjects).name for each in models] or sorted(
        tried & knowledge.subjects.keys()
    )
    order = [*map(str, Backend)]
    return [
        choose(knowledge, name, each, target)
        for name in names
        for each in sorted(
            knowledge.backends_of(name), key=lambda it: (it not in order, it in order and order.index(it))
        )
        if backend in {None, each}
    ]


def answer_for(
    model: str, backend: str, gpu_memory_gib: float | None, *, models: Path, reports: Path
) -> tuple[Knowledge, Choice | None]:
    """The answer for a model of a folder of specs; None where no record tells of it."""
    specs = load_models(models) if models.is_dir() else {}
    knowledge = Sources.of(reports).knowledge(subjects_of(specs.values()))
    known = model in knowledge.subjects and backend in knowledge.backends_of(model)
    return knowledge, choose(knowledge, model, backend, Target(gpu_gib=gpu_memory_gib)) if known else None


def to_json(knowledge: Knowledge, choice: Choice) -> dict[str, Any]:
    """The answer as plain data."""
    best, other = choice.best, choice.runner_up
    return {
        "model": choice.subject.name,
        "backend": choice.backend,
        "recommended": None if best is None else _stack_json(knowledge, best, choice.target),
        "on_a_larger_card": None if choice.beyond is None else _stack_json(knowledge, choice.beyond, choice.target),
        "why": why(choice),
        "runner_up": None if other is None else _stack_json(knowledge, other, choice.target),
        "stacks": len(choice.ranked),
        "failing": len(choice.failing),
        "unfit": len(choice.unfit),
    }


def _stack_json(knowledge: Knowledge, known: Known, target: Target) -> dict[str, Any]:
    memory, memory_told = memory_of(knowledge, known), memory_line(knowledge, known, target.gpu_gib)
    best = known.best
    return {
        "lmdeploy": known.lmdeploy,
        "transformers": known.transformers,
        "python": known.python,
        "as_of": known.as_of or None,
        "lock": known.lock,
        "level": str(known.level),
        "reached": known.reached,
        "shown": shown_line(knowledge, known).text,
        "not_shown": not_shown_line(known),
        "against": [each.text for each in conflict_lines(known)],
        "memory": None if memory_told is None else memory_told.text,
        "memory_gib": None if memory is None else round(memory.gib, 2),
        "evidence": None
        if best is None
        else {"combination": best.sighting.record.id, "source": best.sighting.source or "here"},
    }


def _row(knowledge: Knowledge, choice: Choice) -> tuple[str, ...]:
    best, other = choice.best or choice.beyond, choice.runner_up
    if best is None:
        return (choice.subject.name, choice.backend, "none", str(Level.NOTHING), why(choice), "")
    second = f"{_pair(other)} ({level_words(other)})" if other is not None else ""
    room = room_words(knowledge, choice)
    use = f"{room}: {_pair(best)}" if room else _pair(best)
    return (choice.subject.name, choice.backend, use, level_words(best), why(choice), second)


def _pair(known: Known) -> str:
    day = f", as of {known.as_of}" if known.as_of else ""
    return f"{known.lmdeploy} with {known.transformers}, Python {known.python}{day}"


def _table(knowledge: Knowledge, choices: Iterable[Choice]) -> None:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in _HEAD:
        shown.add_column(name, overflow="fold")
    for each in choices:
        shown.add_row(*map(escape, _row(knowledge, each)))
    make_console().print(shown)


def _detail(knowledge: Knowledge, choice: Choice) -> None:
    click.echo(f"{choice.subject.title} on {choice.backend}")
    for line in answer_lines(knowledge, choice):
        click.echo(f"  {line}")
    if choice.ranked:
        click.echo("  Every stack that anything speaks for, the best first:")
    for each in (it for it in choice.ranked if it.level is not Level.PREDICTED):
        against = f"; {len(each.against)} against it" if each.against else ""
        click.echo(f"    {_pair(each)}: {level_words(each)}{against} ({each.lock or 'no lock'})")
    foreseen = sum(each.level is Level.PREDICTED for each in choice.ranked)
    if foreseen:
        click.echo(f"    and {foreseen} pairs of versions that only the scan speaks for")
    for reason, count in grouped(choice):
        click.echo(f"  Not: {count} because {reason}")
    click.echo("")


def answer_lines(knowledge: Knowledge, choice: Choice) -> list[str]:
    """The answer: the stack and its level, what was shown and what not, memory, conflicts, and why this one."""
    best = choice.best or choice.beyond
    if best is None:
        return [f"{why(choice)}."]
    room = room_words(knowledge, choice)
    memory = memory_line(knowledge, best, choice.target.gpu_gib)
    day = f", as of {best.as_of}" if best.as_of else ""
    return [
        f"{f'N{room[1:]}, use' if room else 'Use'} {named(best)} on Python {best.python}{day}: {level_words(best)}.",
        shown_line(knowledge, best).text,
        not_shown_line(best),
        *([memory.text] if memory is not None else []),
        *(each.text for each in conflict_lines(best)),
        f"Why: {why(choice)}.",
    ]


def grouped(choice: Choice) -> list[tuple[str, int]]:
    """Why the others are no answer, alike ones together."""
    found: defaultdict[str, int] = defaultdict(int)
    for each in choice.failing:
        first = each.against[0].record.verdict if each.against else "nothing speaks for it"
        found[first] += 1
    for _, reason in choice.unfit:
        found[reason] += 1
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))

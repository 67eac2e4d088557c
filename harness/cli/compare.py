"""``lmdeploy-harness compare``: two runs side by side."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.bundle.arrivals import records_in
from harness.cli.guard import guarded
from harness.cli.options import project_options
from harness.core.comparison import Change
from harness.core.errors import ExitCode
from harness.evidence.choice import choose, named
from harness.evidence.predictions import Predictions
from harness.evidence.sightings import Sighting
from harness.evidence.stacks import Knowledge
from harness.evidence.subjects import subjects_of
from harness.evidence.told import level_words
from harness.report import build_context, write_report
from harness.report.runs import earlier, runs_of
from harness.session.session import NothingSelected, Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import Record
    from harness.evidence.subjects import Subject
    from harness.matrix.project import Project
    from harness.report.model import Changes


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write AFTER's report with the changes.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@project_options
@guarded
def compare(before: str, after: str, out: Path | None, form: str, project: Project) -> int:
    """Tell what changed from one run to another: verdicts, what appeared and went, stacks that moved, and the answers.

    BEFORE and AFTER are each a reports folder, a results.jsonl, a report.json, or the name of a run on record ('last'
    is the last one, 'last~1' the one before). Exit code 1 when something regressed.
    """
    session = Session(project)
    old, new = (_records(each, session) for each in (before, after))
    previous = earlier(before, old).model_dump(mode="json")
    context = build_context(new, generated=datetime.now(UTC), extras={"previous": previous})
    if context.changes is None:  # it is there, since there is something to compare with
        raise NothingSelected("there is nothing to compare")
    answers = _answers(subjects_of(session.models.values()), old, new)
    if form == "json":
        told = context.changes.model_dump(mode="json")
        for moved in told["moved"]:
            moved["combinations"] = [context.combinations[index].id for index in moved["combinations"]]
        click.echo(json.dumps({**told, "answers": answers}, indent=1))
    else:
        _tell(context.changes, answers)
    if out is not None:
        click.echo(write_report(new, out, {"previous": previous}))
    return ExitCode.UNEXPECTED if context.changes.counts[Change.REGRESSED] else ExitCode.OK


def _records(text: str, session: Session) -> list[Record]:
    """The records of a file, a folder or a run, in the order of time.

    Raises:
        NothingSelected: it is none of them; the message says which runs there are.
        NotResults: the file cannot be read.
    """
    if Path(text).exists():
        return sorted(records_in(Path(text)), key=lambda record: Sighting(record).order)
    runs = runs_of(session.store.attempts())
    named_runs = {each[0].run: each for each in runs if each[0].run}
    if text.partition("~")[0] == "last" and (back := text.partition("~")[2] or "0").isdigit() and int(back) < len(runs):
        return runs[-1 - int(back)]
    if text in named_runs:
        return named_runs[text]
    known = ", ".join([*named_runs][-5:]) or "none"
    raise NothingSelected(f"{text!r} is no file, no reports folder and no run; the last runs on record: {known}")


def _answers(subjects: Mapping[str, Subject], old: Sequence[Record], new: Sequence[Record]) -> list[dict[str, str]]:
    """The recommended stack of each model and backend, where it is another one now or known otherwise."""
    sides = [Knowledge.of(subjects, map(Sighting, each), Predictions()) for each in (old, new)]
    pairs = sorted({(each.model, each.backend) for side in sides for each in side.sightings if each.model in subjects})
    found = []
    for model, backend in pairs:
        before, after = ((choose(side, model, backend).best) for side in sides)
        words = [f"{named(each)}: {level_words(each)}" if each is not None else "none" for each in (before, after)]
        if words[0] != words[1]:
            found.append({"model": model, "backend": backend, "before": words[0], "after": words[1]})
    return found


def _tell(changes: Changes, answers: Sequence[Mapping[str, str]]) -> None:
    counts = [f"{number} {change}" for change, number in changes.counts.items() if number]
    click.echo(f"Since {changes.since}: {', '.join(counts) or 'nothing to compare'}.")
    for entry in changes.entries:
        click.echo(f"  {entry.change}: {entry.id}: {entry.before or 'nothing'} -> {entry.after or 'nothing'}")
    for moved in changes.moved:
        words = ", ".join(f"{name} {old} -> {new}" for name, old, new in moved.packages[:6])
        more = f" and {len(moved.packages) - 6} more" if len(moved.packages) > 6 else ""  # noqa: PLR2004 - as above
        click.echo(f"  moved in {len(moved.combinations)}: {words}{more}")
    for answer in answers:
        click.echo(f"  answer for {answer['model']} on {answer['backend']}: {answer['before']} -> {answer['after']}")

"""``lmdeploy-harness baseline``, ``lmdeploy-harness gate`` and ``lmdeploy-harness gate-merge``."""

from __future__ import annotations

import fnmatch
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from harness import __version__
from harness.cli import gate_output
from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import (
    SelectedIds,
    format_option,
    jobs_option,
    project_options,
    selection_options,
    tags_option,
    verbose_option,
    words_option,
)
from harness.cli.progress import display
from harness.core.program import command
from harness.environments.resolve import REMEMBERED_FOR
from harness.gate.baseline import accept, attempts_in, read_baseline, unusable, write_baseline
from harness.gate.candidates import AcceptedMatrix, bumped, changed_in_matrix, locks_changed
from harness.gate.change import AXES, Bump, UnusableChange, describe, parse_bump
from harness.gate.diff import load_diff, read_diff
from harness.gate.forecast import decide_forecast, foretell
from harness.gate.judge import causes_of, count, decide, judge
from harness.gate.known import known_of
from harness.gate.outcome import GateOutcome
from harness.gate.shards import make_plan, merge, parse_shard, part_of, read_outcome
from harness.gate.stacks import stacks_before
from harness.gate.trial import run_candidates, run_controls, sample_again
from harness.index.package_index import PackageIndex
from harness.matrix.project import BASELINE
from harness.session.publish import Publisher
from harness.session.session import NothingSelected, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.gate.baseline import Baseline
    from harness.gate.candidates import Candidate
    from harness.matrix.project import Project

file_option = click.option(
    "--baseline", "file", type=click.Path(path_type=Path), help=f"The baseline [default: {BASELINE} beside the matrix]."
)


@click.command()
@selection_options
@project_options
@file_option
@click.option("--measured", is_flag=True, help="Take times and memory too where the baseline has another machine's.")
@guarded
def baseline(
    selection: SelectedIds,
    project: Project,
    file: Path | None,
    measured: bool,
) -> None:
    """Accept the latest run as the baseline: a small, sorted file to commit and review.

    With ID, -t or -k only those combinations are accepted anew. `must` and `limits` in the file stay as they are, and
    so do the measurements of another machine, where the verdict is the same.
    """
    session = Session(project)
    file = file or session.project.baseline
    chosen = session.select(*selection)
    latest = {each.id: each for each in session.store.records()}
    present = [latest[each.id] for each in chosen if each.id in latest]
    if not present:
        raise NothingSelected(
            f"{session.store.file} has no record of the chosen combinations; 'lmdeploy-harness run' first"
        )
    vain = unusable(present)
    if vain:
        raise NothingSelected(
            f"{len(vain)} records hit infrastructure trouble, such as {vain[0].id}; run them again first"
        )
    earlier = read_baseline(file) if file.exists() else None
    made = accept(chosen, attempts_in(session.store.file), earlier, measured=measured)
    write_baseline(file, made)
    known = earlier.combinations if earlier is not None else {}
    for name, each in made.combinations.items():
        if name in known and known[name].verdict != each.verdict:
            click.echo(f"{name}\n  {known[name].verdict} → {each.verdict}")
    unexpected = sum(each.as_expected is False for each in present)
    words_on = f"; {unexpected} of them are not what the matrix expects" if unexpected else ""
    untested = len(chosen) - len(present)
    words_on += f"; {untested} have no record and were left out" if untested else ""
    click.echo(f"accepted {len(present)} combinations in {file}{words_on}")


@click.command()
@click.argument("bumps", nargs=-1, metavar="[PACKAGE==VERSION]...")
@click.option("--from-diff", "diff", metavar="FILE|-|REV", help="Take the bumps from a unified diff, or from git.")
@click.option("--from", "before", metavar="VERSION", help="The bump is from this version: only its combinations.")
@project_options
@tags_option
@words_option
@file_option
@click.option(
    "--shard", "share", metavar="I/N", help="Run only this part; 'lmdeploy-harness gate-merge' puts them together."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the outputs [reports/gate].")
@click.option("--dry-run", is_flag=True, help="List the comparisons and run nothing.")
@click.option("--retries", type=click.IntRange(0, 5), default=1, show_default=True, help="Tries of a new failure.")
@click.option("--samples", type=click.IntRange(1, 20), default=1, help="Attempts at what passes, for measurements.")
@jobs_option
@format_option
@verbose_option
@guarded
def gate(  # noqa: PLR0913, PLR0917 - one parameter for each option
    bumps: tuple[str, ...],
    diff: str | None,
    before: str | None,
    project: Project,
    tags: tuple[str, ...],
    words: tuple[str, ...],
    file: Path | None,
    share: str | None,
    out: Path | None,
    dry_run: bool,
    retries: int,
    samples: int,
    jobs: int | None,
    form: str,
    verbose: int,
) -> int:
    """Compare a bump with the baseline, on just the combinations that it touches.

    Without a bump or a diff: whatever the matrix has otherwise than the baseline.

    Exit codes: 0 no regression, 1 regression, 2 usage, 3 nothing to do, 4 infrastructure, 5 something that must be
    tested could not be, 130 interrupted.
    """
    shard = parse_shard(share) if share is not None else None
    folder = out or project.reports / "gate"
    file = file or project.baseline
    if not file.exists():
        raise UnusableChange(
            f"there is no baseline at {file}; 'lmdeploy-harness run', then 'lmdeploy-harness baseline' makes it"
        )
    accepted = read_baseline(file)
    session = Session(replace(project, reports=project.reports / "gate"), jobs or 0)
    session.demand_versions()
    with PackageIndex(project.index_cache, timedelta(seconds=REMEMBERED_FOR)) as index:
        change = _change(_Asked(bumps, diff, before, tags, words), session, accepted, index)
    _demand_known(accepted, {each.id for each in session.combinations} | {each.id for each in change.candidates})
    bump = describe(change.bumps)
    plan = make_plan(bump, accepted, change.candidates)
    mine = part_of(change.candidates, shard) if shard is not None else change.candidates
    if dry_run:
        told = foretell(session, mine, accepted, bump=bump, untested=change.untested, notes=change.notes)
        gate_output.print_forecast(told, form, workers=session.workers, every=verbose > 0)
        return decide_forecast(told)
    shown = display(-1 if form == "json" else verbose)
    tries = run_candidates(session, mine, accepted, retries=retries, display=shown)
    controls = run_controls(session, mine, tries, accepted, display=shown)
    if samples > 1:
        sample_again(session, mine, tries, samples=samples, display=shown)
    again = ["gate", *bumps, *(("--from-diff", diff) if diff else ()), *(("--from", before) if before else ())]
    rows = [
        judge(each, tries.get(each.id, []), accepted, controls.get(each.reference)).model_copy(
            update={"command": command(*again, "-k", each.reference)}
        )
        for each in mine
    ]
    code, decision = decide(rows, change.untested)
    first = next((each for each in change.bumps if each.file), None)
    outcome = GateOutcome(
        bump=bump,
        bump_file=first.file if first is not None else "",
        bump_line=first.line if first is not None else 0,
        baseline=accepted.label,
        harness=__version__,
        finished=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        plan=plan,
        shard=shard,
        decision=decision,
        exit_code=int(code),
        counts=count(rows),
        rows=rows,
        causes=causes_of(rows, {name: each[0] for name, each in tries.items()}),
        untested=list(change.untested),
        notes=list(change.notes),
        known=known_of((each[-1] for each in tries.values() if each), project.reports, session.models),
    )
    return _publish(project, folder, outcome, form)


@click.command("gate-merge")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False), metavar="GATE.JSON...")
@project_options
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the outputs [reports/gate].")
@format_option
@guarded
def gate_merge(files: tuple[Path, ...], project: Project, out: Path | None, form: str) -> int:
    """Put the shards of one gate together; incomplete or inconsistent ones are refused."""
    outcome = merge([read_outcome(each) for each in files])
    return _publish(project, out or project.reports / "gate", outcome, form)


class _Asked(NamedTuple):
    """The command's own words on what is compared."""

    texts: tuple[str, ...]
    diff: str | None
    before: str | None
    tags: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    bumps: tuple[Bump, ...]
    candidates: Sequence[Candidate]
    untested: Sequence[str] = ()
    notes: Sequence[str] = ()


def _change(asked: _Asked, session: Session, accepted: Baseline, index: PackageIndex) -> _Change:
    """What is bumped, what is compared for it, and what is not."""
    if asked.before is not None and not asked.texts:
        raise UnusableChange("--from says where a bump comes from; name the bump too")
    wanted = [parse_bump(each, asked.before) for each in asked.texts]
    named = {each.package for each in wanted}
    if len(named) != len(wanted):
        raise UnusableChange("a package is bumped twice; name it once")
    if asked.diff is None and not wanted:
        return _Change((), _changed(asked, session, accepted))
    text = load_diff(asked.diff, session.project.root, sys.stdin.read) if asked.diff is not None else ""
    matrix = AcceptedMatrix(session, accepted, index)
    known = matrix.combinations and session.select((), asked.tags, asked.words, matrix.combinations)
    before = stacks_before(session, known, accepted)
    reading = read_diff(text, {*AXES, *(name for each in before.values() for name in each.held)})
    bumps = (*wanted, *(each for each in reading.bumps if each.package not in named))
    candidates: list[Candidate] = []
    if asked.diff is not None:
        candidates += locks_changed(session.select((), asked.tags, asked.words), accepted, bumps)
    compared = {each.reference for each in candidates}
    touched = bumped(
        session, matrix, {name: each for name, each in before.items() if name not in compared}, bumps, index
    )
    candidates += touched.candidates
    if any(Path(each).name == session.project.matrix_file.name for each in reading.files):
        compared |= {each.id for each in candidates}
        candidates += [each for each in _changed(asked, session, accepted) if each.reference not in compared]
    return _Change(bumps, candidates, reading.untested, touched.notes)


def _changed(asked: _Asked, session: Session, accepted: Baseline) -> list[Candidate]:
    """What the matrix has otherwise than the baseline; what is gone only where the whole matrix is looked at."""
    found = changed_in_matrix(session.select((), asked.tags, asked.words), accepted)
    return [each for each in found if each.combination is not None or not (asked.tags or asked.words)]


def _demand_known(accepted: Baseline, ids: set[str]) -> None:
    """A pattern that matches nothing would demand nothing, without a word."""
    for each in accepted.must:
        if not fnmatch.filter([*ids, *accepted.combinations], each.match):
            raise UnusableChange(f"the baseline's must list names {each.match!r}, which matches no combination")


def _publish(project: Project, folder: Path, outcome: GateOutcome, form: str) -> int:
    gate_output.write_outcome(folder, outcome)
    console = make_console()
    if form == "json":
        click.echo(outcome.model_dump_json(indent=1))
    else:
        gate_output.print_outcome(console, outcome)
    if outcome.shard is None:
        gate_output.print_annotations(make_console(stderr=form == "json"), outcome)
        gate_output.write_view(project.reports / gate_output.VIEW, outcome)
        session = Session(project)
        if session.store.file.exists():
            Publisher(session.store, session).publish()
    if form != "json":
        console.print(f"written: {folder}")
    return outcome.exit_code

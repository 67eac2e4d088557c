"""``lmdeploy-harness baseline``, ``lmdeploy-harness gate`` and ``lmdeploy-harness gate-merge``."""

from __future__ import annotations

import fnmatch
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import __version__
from harness.cli import gate_output
from harness.cli.console import display, make_console
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
from harness.core.errors import ExitCode
from harness.environments.resolve import REMEMBERED_FOR
from harness.gate.baseline import accept, attempts_in, read_baseline, unusable, write_baseline
from harness.gate.candidates import Candidate, bumped, changed_in_matrix
from harness.gate.change import Bump, UnusableChange, describe, parse_bump
from harness.gate.diff import load_diff, read_diff
from harness.gate.judge import causes_of, count, decide, judge
from harness.gate.outcome import GateOutcome
from harness.gate.shards import make_plan, merge, parse_shard, part_of, read_outcome
from harness.gate.trial import run_candidates, sample_again
from harness.index.package_index import PackageIndex
from harness.matrix.project import BASELINE
from harness.session.publish import Publisher
from harness.session.session import NothingSelected, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.gate.baseline import Baseline
    from harness.matrix import Combination
    from harness.matrix.project import Project

file_option = click.option(
    "--baseline", "file", type=click.Path(path_type=Path), help=f"The baseline [default: {BASELINE} beside the matrix]."
)


@click.command()
@selection_options
@project_options
@file_option
@guarded
def baseline(
    selection: SelectedIds,
    project: Project,
    file: Path | None,
) -> None:
    """Accept the latest run as the baseline: a small, sorted file to commit and review.

    With ID, -t or -k only those combinations are accepted anew. `must` and `limits` in the file stay as they are.
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
    made = accept(chosen, attempts_in(session.store.file), earlier)
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
    wanted, of_matrix = _bumps(bumps, diff, before, project)
    chosen = session.select((), tags, words)
    candidates = _candidates(session, chosen, wanted, accepted, of_matrix=of_matrix, whole=not (tags or words))
    _demand_known(accepted, {each.id for each in session.combinations} | {each.id for each in candidates})
    plan = make_plan(describe(wanted), accepted, candidates)
    mine = part_of(candidates, shard) if shard is not None else candidates
    if dry_run:
        return _foretell(mine, describe(wanted))
    shown = display(-1 if form == "json" else verbose)
    tries = run_candidates(session, mine, accepted, retries=retries, display=shown)
    if samples > 1:
        sample_again(session, mine, tries, samples=samples, display=shown)
    rows = [judge(each, tries.get(each.id, []), accepted) for each in mine]
    code, decision = decide(rows)
    first = next((each for each in wanted if each.file), None)
    outcome = GateOutcome(
        bump=describe(wanted),
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


def _bumps(texts: Sequence[str], diff: str | None, before: str | None, project: Project) -> tuple[list[Bump], bool]:
    """The bumps, and whether the matrix itself may have changed."""
    if before is not None and not texts:
        raise UnusableChange("--from says where a bump comes from; name the bump too")
    wanted = [parse_bump(each, before) for each in texts]
    if len({each.package for each in wanted}) != len(wanted):
        raise UnusableChange("a package is bumped twice; name it once")
    if diff is None:
        return wanted, not wanted
    reading = read_diff(load_diff(diff, project.root, sys.stdin.read))
    named = {each.package for each in wanted}
    matrix = any(Path(each).name == project.matrix_file.name for each in reading.files)
    return [*wanted, *(each for each in reading.bumps if each.package not in named)], matrix


def _candidates(  # noqa: PLR0913 - what a choice depends on
    session: Session,
    chosen: Sequence[Combination],
    bumps: Sequence[Bump],
    accepted: Baseline,
    *,
    of_matrix: bool,
    whole: bool,
) -> list[Candidate]:
    found: list[Candidate] = []
    if bumps:
        known = [each for each in chosen if each.id in accepted.combinations]
        with PackageIndex(session.project.index_cache, timedelta(seconds=REMEMBERED_FOR)) as index:
            found += bumped(session, known, bumps, index)
    if of_matrix:
        changed = changed_in_matrix(chosen, accepted)
        found += changed if whole else [each for each in changed if each.combination is not None]
    return found


def _foretell(candidates: Sequence[Candidate], bump: str) -> int:
    """Say what would be compared."""
    for each in candidates:
        was = f"  (was {each.reference})" if each.id != each.reference else ""
        click.echo(f"{each.id}{was}" if each.combination is not None else f"{each.reference}  (gone)")
    click.echo(f"{bump}: {len(candidates)} comparisons")
    return ExitCode.OK if candidates else ExitCode.NOTHING_TO_DO


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

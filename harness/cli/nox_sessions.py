"""The matrix as nox sessions: one for each combination, all of them served by one run.

Nox runs its sessions one after another. The first of them starts every selected combination at once, as many at a
time as there are cores; each session then waits for its own. With ``nox -j`` every session is a process of its own
that runs its one combination, and locks on the answers and environments keep them from doing the same work twice.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import nox

from harness.cli.console import make_console
from harness.cli.progress import RunDisplay, progress_of
from harness.cli.run_output import print_summary, reason_line, stages_text
from harness.core.errors import RunBroken
from harness.core.verdict import Status, Verdict
from harness.core.visible import visible
from harness.index.download import IndexUnavailable
from harness.matrix import MatrixError
from harness.matrix.project import Project
from harness.process.child import Cancelled
from harness.session.execute import Announcer
from harness.session.publish import Publisher
from harness.session.session import NothingSelected, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import Record
    from harness.matrix import Combination
    from harness.scheduling.run import Run


@cache
def _session(matrix_file: Path, *, fresh: bool = False) -> Session:
    return Session(Project.of(matrix_file), fresh=fresh)


def matrix_parameters(matrix_file: Path) -> tuple[list[object], str]:
    """Nox parameters for every combination, with its id and tags; and, if there are none, what is the trouble.

    A matrix that cannot be read leaves one session, which fails with the reason, so that other sessions still run.
    """
    try:
        combinations = _session(matrix_file).combinations
    except (MatrixError, IndexUnavailable) as error:
        return [nox.param("unreadable", id="unreadable")], str(error)
    return [nox.param(each.id, id=each.id, tags=[*each.tags, *_axis_tags(each)]) for each in combinations], ""


def add_sessions(matrix_file: str | Path = "matrix.yaml") -> None:
    """Give a noxfile of one's own the sessions ``matrix``, ``plan``, ``baseline`` and ``gate`` for a matrix."""
    file = Path(matrix_file).absolute()
    combinations, trouble = matrix_parameters(file)

    @nox.session(venv_backend="none")
    @nox.parametrize("combination", combinations)
    def matrix(session: nox.Session, combination: str) -> None:
        """Take one combination through the stages."""
        if trouble:
            session.error(trouble)
        run_session(session, file, combination)

    def plain(session: nox.Session) -> None:
        command = (sys.executable, "-m", "harness", session.name, "--matrix", str(file), *session.posargs)
        if code := subprocess.call(command):
            sys.exit(code)  # nox's own ending knows only 0 and 1

    for name in ("plan", "baseline", "gate"):
        nox.session(name=name, venv_backend="none")(plain)


def _axis_tags(combination: Combination) -> list[str]:
    """Tags such as ``lmdeploy0.18.0``: nox's -k takes Python names only, and versions have dots."""
    return [
        f"lmdeploy{combination.lmdeploy}",
        f"transformers{combination.transformers}",
        f"python{combination.python}",
        str(combination.backend),
        combination.model,
    ]


class _MatrixRun:
    """One run for all selected sessions of this nox process."""

    def __init__(self, opened: Session, chosen: Sequence[Combination]) -> None:
        self.opened = opened
        self.console = make_console()
        self.publisher = Publisher(opened.store, opened)
        self.records: list[Record] = []
        self.total = len(chosen)
        self.display = RunDisplay(make_console(stderr=True), progress_of(chosen), told_elsewhere=True)
        self.run: Run = opened.run(chosen, Announcer(self.display, self.publisher))
        self.run.start()

    def finish(self) -> None:
        """After the last session: the report and the table."""
        self.run.stop()
        print_summary(self.console, self.records, self.publisher.publish_if_older())


_runs: dict[str, _MatrixRun] = {}


def run_session(session: nox.Session, matrix_file: Path, identity: str) -> None:
    """The body of one combination's session: green as expected, red unexpected, skipped where blocked or excluded.

    Positional arguments: ``--fresh`` runs again what is known already; there are no others.
    """
    if unknown := [each for each in session.posargs if each != "--fresh"]:
        told = " ".join(unknown)
        session.error(
            f"'{told}' after -- is not understood, only --fresh is; -t and -k stand before it: nox -s matrix -t quick"
        )
    fresh = "--fresh" in session.posargs
    opened = _session(matrix_file, fresh=fresh)
    if "run" not in _runs:
        try:
            _runs["run"] = _MatrixRun(opened, opened.select(_selected(session, identity)))
        except NothingSelected as error:
            session.error(str(error))
    shared = _runs["run"]
    try:
        with shared.display:
            record = shared.run.record(identity)
    except KeyboardInterrupt:
        shared.run.stop()
        raise
    except (RunBroken, Cancelled) as error:
        session.error(f"{error}; what was finished is kept, run again to continue")
    shared.records.append(record)
    last = len(shared.records) == shared.total
    if record.stages:
        session.log(stages_text(record))
    if last:
        shared.finish()
    _conclude(session, record)


def _conclude(session: nox.Session, record: Record) -> None:
    status = Verdict.parse(record.verdict).status
    why = visible(reason_line(record))
    if record.as_expected is False:
        session.error(f"{record.verdict} (expected {record.expected}){': ' + why if why else ''}")
    if status is Status.INFRA:
        session.error(f"{record.verdict}: infrastructure trouble, says nothing about versions; run again. {why}")
    if status is Status.BLOCKED and record.as_expected is None:
        session.skip(f"blocked here: {record.verdict}{f': {why}' if why else ''}")
    if status is Status.SKIPPED and record.as_expected is None:
        session.skip(f"skipped in the matrix: {Verdict.parse(record.verdict).detail}")
    session.log(record.verdict if not record.note or status is Status.PASS else f"{record.verdict}: {record.note}")


def _selected(session: nox.Session, identity: str) -> list[str]:
    """Ids of this session and all matrix sessions still to come, so that they can run together.

    Nox has no public way to ask; without its manifest each session runs alone, which is slower and right.
    """
    manifest = getattr(getattr(session, "_runner", None), "manifest", None)
    if manifest is None:
        return [identity]
    names = [str(runner.friendly_name) for runner, queued in manifest.list_all_sessions() if queued]
    return [identity, *(name[len("matrix(") : -1] for name in names if name.startswith("matrix("))]

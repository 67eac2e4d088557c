"""Running the pairs of versions that the scan's predictions are measured with."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.untrusted_files import remove_tree
from harness.matrix.project import Project
from harness.results.store import ResultStore
from harness.scan.answers.truth import MATRIX, matrix_text
from harness.scheduling.run import SILENT
from harness.session.execute import run_all
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.core.records import Record
    from harness.scan.answers.truth import Group


def run_pairs(
    groups: Iterable[Group], *, models: Path, folder: Path, keep: bool, progress: Callable[[str], None] | None
) -> list[Record]:
    """Run the pairs, one engine release after the other, and return their records.

    Environments of an engine release are deleted before the next one's are built, unless ``keep``: then only their
    answers stay. What was run before from the same packages is not run again. With ``HARNESS_HOME`` set, environments
    are shared with every other command, and none is deleted.

    Args:
        groups: what to run.
        models: folder of the model specs.
        folder: where matrices, environments and records go.
        keep: keep the environments.
        progress: told what is being run.

    Raises:
        RunBroken: the harness could not go on.
        OSError: the folder cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = os.environ.get("HARNESS_HOME")
    state = Path(given).absolute() if given else folder / "state"
    project = Project(folder / MATRIX, models.resolve(), folder / "reports", state)
    for group in groups:
        if progress is not None:
            progress(f"lmdeploy {group.lmdeploy} with transformers {', '.join(group.transformers)}")
        project.matrix_file.write_text(matrix_text(group), "utf-8")
        session = Session(project, jobs=1)
        run_all(session, session.combinations, lambda _: nullcontext(SILENT), publish=False)
        if not keep and not given:
            remove_tree(project.environments)
    return ResultStore(project.reports).records()

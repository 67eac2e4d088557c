"""Space is given back, and what a record needs stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.matrix.project import Project
from harness.results.store import ResultStore
from harness.session.garbage import collect_garbage

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from harness.core.records import Record


def test_records_are_read_once_however_many_locks_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.of(tmp_path / "matrix.yaml")
    for name in ("a", "b", "c"):
        (project.locks / name).mkdir(parents=True)
    reads = 0

    def read(_: ResultStore) -> list[Record]:
        nonlocal reads
        reads += 1
        return []

    monkeypatch.setattr(ResultStore, "records", read)
    freed = collect_garbage(project)
    assert reads == 1
    assert freed.what == "0 environments, 0 answers, 0 logs, 3 locks"
    assert not list(project.locks.iterdir())

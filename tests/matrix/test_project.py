"""Where a matrix's models, reports and working folder are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.matrix.project import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["matrix.yaml", "other.yaml", "matrices/gpu.yaml"])
def test_further_matrices_share_the_folders_of_their_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    project = Project.of(tmp_path / name)
    assert project.matrix_file == tmp_path / name
    assert (project.models, project.reports) == (tmp_path / "models", tmp_path / "reports")
    assert project.state == tmp_path / ".harness"

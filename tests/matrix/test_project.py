"""Where a matrix's models, reports and working folder are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.matrix.project import SHIPPED, Project, find_matrix

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


def test_the_matrix_is_looked_for_upwards_and_no_further_than_the_repository(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "service" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "matrix.yaml").touch()
    (tmp_path / "repository" / ".git").mkdir()
    assert find_matrix(inner) is None
    (tmp_path / "repository" / "pyproject.toml").write_text("[tool.lmdeploy-harness]\nversion = 1\n")
    assert find_matrix(inner) == tmp_path / "repository" / "pyproject.toml"
    (tmp_path / "repository" / "service" / "pyproject.toml").write_text("[tool.other]\n")
    assert find_matrix(inner) == tmp_path / "repository" / "pyproject.toml"
    (tmp_path / "repository" / "matrix.yaml").touch()
    assert find_matrix(inner) == tmp_path / "repository" / "matrix.yaml"


def test_a_project_without_a_matrix_borrows_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    project = Project.found(None)
    assert project.borrowed
    assert project.matrix_file == SHIPPED / "matrix.yaml"
    assert (project.root, project.state) == (tmp_path, tmp_path / ".harness")
    assert project.baseline == tmp_path / "baseline.yaml"
    assert not Project.found(SHIPPED / "matrix.yaml").borrowed  # in a clone it is the clone's own


def test_git_passes_over_the_working_folder(tmp_path: Path) -> None:
    project = Project.of(tmp_path / "matrix.yaml")
    project.hide_state()
    assert (project.state / ".gitignore").read_text() == "*\n"
    (project.state / ".gitignore").write_text("mine\n")
    project.hide_state()
    assert (project.state / ".gitignore").read_text() == "mine\n"

"""The gate on a project's own lock, as an update bot changes it: the two locks of the change are compared."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import uv_binary
from tests.miniatures import make_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.miniatures import Harness, MiniProject

PROJECT = """\
[project]
name = "service"
version = "1"
requires-python = ">=3.11,<3.12"
dependencies = ["lmdeploy==1.0", "transformers==4.57.3"]
"""
MATRIX = "version: 1\ninclude:\n  - {lock: uv.lock, backend: transformers, model: mini}\n"
NAME = "lmdeploy1.0-transformers{}-transformers-mini-py3.11-uv.lock"


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, miniature_environment: dict[str, str], run_harness: Harness
) -> MiniProject:
    """A repository with a lock of miniatures, run, accepted and committed; then a bot's change of transformers."""
    project = make_project(tmp_path_factory.mktemp("service") / "project", MATRIX)
    file = project.root / "pyproject.toml"
    file.write_text(PROJECT)

    def call(*command: str | Path) -> None:
        subprocess.run(command, cwd=project.root, env=miniature_environment, check=True, capture_output=True)

    call(uv_binary(), "lock", "-q")
    for command in ("run", "baseline"):
        done = run_harness(project, command)
        assert done.returncode == 0, done.stdout + done.stderr
    call("git", "init", "-qb", "main")
    call("git", "add", "pyproject.toml", "uv.lock", "matrix.yaml", "models", "baseline.yaml")
    call("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "x")
    file.write_text(PROJECT.replace("4.57.3", "5.0.0"))
    call(uv_binary(), "lock", "-q")
    return project


def test_the_two_locks_of_a_change_are_compared(service: MiniProject, run_harness: Harness) -> None:
    done = run_harness(service, "gate", "--from-diff", "main", "--retries", "0", "--format", "json")
    assert done.stdout, done.stderr
    outcome = json.loads(done.stdout)
    (row,) = outcome["rows"]
    assert (row["reference"], row["id"]) == (NAME.format("4.57.3"), NAME.format("5.0.0"))
    assert row["moved"] == ["transformers 4.57.3 → 5.0.0"]
    assert (done.returncode, row["change"], outcome["untested"]) == (1, "regressed", [])


def test_a_bump_by_hand_moves_one_package_of_the_lock(service: MiniProject, run_harness: Harness) -> None:
    subprocess.run(["git", "stash", "-q"], cwd=service.root, check=True)
    try:
        done = run_harness(service, "gate", "transformers==4.38.2", "--dry-run", "--format", "json")
    finally:
        subprocess.run(["git", "stash", "pop", "-q"], cwd=service.root, check=True)
    assert done.stdout, done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    assert (group["combinations"], group["moved"]) == ([NAME.format("4.38.2")], ["transformers 4.57.3 → 4.38.2"])

"""Whole runs on a project's own lock: what is deployed is what is tested, package by package."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import uv_binary
from tests.miniatures import make_project, make_wheel

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
MATRIX = """\
version: 1
include:
  - {lock: uv.lock, backend: transformers, model: mini}
"""


@pytest.fixture
def locked(tmp_path: Path, miniature_environment: dict[str, str]) -> MiniProject:
    """A project of miniatures with a lock that uv made."""
    project = make_project(tmp_path / "project", MATRIX)
    (project.root / "pyproject.toml").write_text(PROJECT)
    subprocess.run([uv_binary(), "lock", "-q"], cwd=project.root, env=miniature_environment, check=True)
    return project


def records(project: MiniProject) -> dict[str, dict[str, object]]:
    lines = (project.root / "reports" / "results.jsonl").read_text().splitlines()
    return {each["id"]: each for each in map(json.loads, lines)}


def test_the_records_stack_is_the_lock(
    locked: MiniProject, run_harness: Harness, miniature_environment: dict[str, str]
) -> None:
    done = run_harness(locked, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    export = [uv_binary(), "export", "--frozen", "-q", "--no-hashes", "--no-header", "--no-annotate"]
    export.append("--no-emit-project")
    exported = subprocess.run(
        export, cwd=locked.root, env=miniature_environment, capture_output=True, text=True, check=True
    )
    lock = dict(line.split("==") for line in exported.stdout.splitlines())
    found = records(locked)
    assert set(found) == {"lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11-uv.lock"}
    (record,) = found.values()
    assert record["stack"] == lock
    assert record["axes"]["lock"] == "uv.lock"  # type: ignore[index]


def test_a_wheel_on_this_machine_is_installed(locked: MiniProject, run_harness: Harness, tmp_path: Path) -> None:
    shutil.rmtree(locked.root / ".harness", ignore_errors=True)
    wheel = make_wheel(tmp_path, "lmdeploy", "9.0", {"lmdeploy/__init__.py": ""}, ["torch", "pillow"])
    locked.matrix.write_text(
        "version: 1\naxes:\n  python: '3.11'\n"
        f"  lmdeploy: {wheel}\n  transformers: 4.57.3\n  backend: transformers\n  model: mini\n"
    )
    done = run_harness(locked, "run")
    (record,) = records(locked).values()
    assert done.returncode == 0, done.stdout + done.stderr
    assert record["axes"]["lmdeploy"].startswith("9.0+h")  # type: ignore[index]
    assert record["stack"]["lmdeploy"] == "9.0"  # type: ignore[index]

"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.miniatures import MiniProject, make_index, make_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.miniatures import Harness

pytest_plugins = ["tests.report.browser"]

# a busy machine is slow, not wrong: no test fails for the time that its inputs take
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def miniature_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the miniatures' ``uv.toml``."""
    folder = tmp_path_factory.mktemp("index")
    make_index(folder)
    return folder


@pytest.fixture(scope="session")
def miniature_environment(miniature_index: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which uv knows the miniatures and nothing else."""
    hidden = ("UV_", "PIP_", "HARNESS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    cache = tmp_path_factory.mktemp("uv-cache")
    return kept | {
        "UV_CONFIG_FILE": str(miniature_index / "uv.toml"),
        "UV_CACHE_DIR": str(cache),
        "UV_OFFLINE": "1",
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="session")
def run_harness(
    miniature_environment: dict[str, str],
) -> Harness:
    """Run ``harness`` in a project of miniatures, as a user would."""

    def run(project: MiniProject, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=project.root,
            env={**miniature_environment, **extra},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def mini_project(tmp_path: Path) -> MiniProject:
    """A fresh project of miniatures."""
    return make_project(tmp_path / "project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that look at the same run go to the same worker, so that it runs once."""
    for item in items:
        if "ran" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("ran"))

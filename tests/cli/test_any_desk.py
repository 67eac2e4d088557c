"""On Windows and macOS everything that only reads works, and running says in one line what it needs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import pytest

from tests import ROOT
from tests.miniatures import make_project
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from pathlib import Path


class Desk(Protocol):
    """Runs the command in a project as on another system."""

    def __call__(self, system: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What the command answers."""


@pytest.fixture
def desk(miniature_environment: dict[str, str], tmp_path: Path) -> Desk:
    """A project, and the command in it."""
    root = make_project(tmp_path / "project").root

    def run(system: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.other_desk", system, *arguments]
        environment = {**miniature_environment, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=900, check=False
        )

    return run


@pytest.mark.parametrize(
    ("system", "arguments", "told"),
    [
        ("darwin", ("plan",), "distinct stack"),
        ("darwin", ("report",), "index.html"),
        ("win32", ("plan", "-v"), "distinct stack"),
        ("win32", ("report",), "index.html"),
        ("win32", ("explain", "server.log", "--offline"), "BeamSearchScorer"),
        ("win32", ("stacks",), ""),
        ("win32", ("catalogue", "health"), "signatures"),
    ],
)
def test_what_only_reads_works(desk: Desk, tmp_path: Path, system: str, arguments: tuple[str, ...], told: str) -> None:
    log = "ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (/x/transformers/__init__.py)\n"
    (tmp_path / "project" / "server.log").write_text(log)
    done = desk(system, *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in {0, 1, 3}, done.stderr
    assert told in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "0.9.0", "4.42.0"),
        ("scan", "--code", "app.py"),
        ("why-not", "--lmdeploy", "0.9.0"),
        ("symbol", "transformers.processing_utils.ImagesKwargs"),
    ],
)
def test_the_scan_works(desk: Desk, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0"))
    publish(index, "transformers", provider("4.41.0"), wheel("transformers", "4.42.0", TABLE))
    publish(index, "torch", wheel("torch", "2.8.0", {}))
    (tmp_path / "project" / "app.py").write_text(
        "import lmdeploy\nfrom transformers.processing_utils import ImagesKwargs\n"
    )
    done = desk("win32", *arguments, "--index-url", index.as_uri(), "--cache", str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_running_says_in_one_line_what_it_needs(desk: Desk, system: str) -> None:
    done = desk(system, "run", "--fresh")
    assert done.returncode == 2, done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("harness: running combinations needs Linux, or WSL2 on Windows")

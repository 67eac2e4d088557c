"""The gate and the pin on the real packages, without a GPU: a bump that breaks the log's stack, and one that does not.

TurboMind's stages are climbed, since the pytorch engine's arithmetic on the CPU takes minutes for each stack and is
tested elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.timeout(1700)]
MATRIX = """\
version: 1
as_of: 2026-01-04
axes: {python: "3.11", lmdeploy: 0.11.1, transformers: 4.57.3, backend: turbomind, model: canary}
"""


def harness(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=project,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1600,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log's stack, run and accepted."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "matrix.yaml").write_text(MATRIX)
    (folder / "models").symlink_to(ROOT / "models")
    assert harness(folder, "run").returncode == 0
    assert harness(folder, "baseline").returncode == 0
    return folder


def gate(project: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = harness(project, "gate", *arguments, "--format", "json")
    return done.returncode, json.loads(done.stdout)


def test_transformers_5_regresses_at_import_named_and_diagnosed(project: Path) -> None:
    code, outcome = gate(project, "transformers==5.0.0")
    assert code == 1
    assert outcome["counts"]["regressed"] == 1
    (cause,) = outcome["causes"]
    assert cause["verdict"].startswith("fail/import/symbol-removed-or-not-yet-added(transformers")
    assert "is_safetensors_available" in cause["line"]
    assert cause["remedy"]


def test_a_harmless_bump_passes_and_a_gpu_that_must_be_there_is_outstanding(project: Path) -> None:
    code, outcome = gate(project, "transformers==4.57.1")
    if "blocked/boot" not in outcome["rows"][0]["after"]:
        pytest.skip("this machine has a GPU")
    assert (code, outcome["counts"]["same"]) == (0, 1)
    file = project / "baseline.yaml"
    file.write_text(file.read_text().replace("must: []", 'must:\n  - match: "lmdeploy0.11.1-*"'))
    code, outcome = gate(project, "transformers==4.57.1")
    assert (code, outcome["rows"][0]["must"]) == (5, "structure")


def test_a_pin_is_written_and_reproduced(project: Path) -> None:
    done = harness(project, "pin", "--partial", "--gpu-memory", "8GiB", "--name", "tested", "--advisories", "none")
    assert done.returncode == 0
    assert "identical to the tested stack" in done.stdout
    folder = project / "reports" / "pins" / "tested"
    assert "TurbomindEngineConfig(cache_max_entry_count=" in (folder / "launch_server.py").read_text()
    assert (folder / "pylock.toml").exists()

"""In somebody else's repository, with nothing of this one but its wheel."""

from __future__ import annotations

import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.adoption import Installed, build_wheel, install_wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("adoption")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, miniature_environment: dict[str, str]
) -> Installed:
    return install_wheel(wheel, tmp_path_factory.mktemp("fresh") / "venv", miniature_environment)


def test_the_wheel_carries_what_is_needed_anywhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {name.removeprefix("harness/shipped/") for name in names if name.startswith("harness/shipped/")}
    assert {"matrix.yaml", "models/canary.yaml", "models/canary/model.safetensors", "models/make_random.py"} <= shipped
    assert {
        "models/canary-awq/config.json",
        "models/miniatures/families.yaml",
        "models/miniatures/qwen3.json",
    } <= shipped
    assert {"harness/incidents/incidents.yaml", "harness/diagnose/signatures.yaml"} <= names
    assert not any(name.startswith(("tests/", "reports/", "benchmarks/")) for name in names)
    assert wheel.stat().st_size < 15_000_000


def test_there_is_one_command_and_it_is_nobody_elses(installed: Installed, tmp_path: Path) -> None:
    assert not (installed.folder / "bin" / "harness").exists()
    assert installed(tmp_path, "--version").stdout.startswith("lmdeploy-harness, version ")


def test_in_an_empty_folder_it_works_with_what_it_brings(installed: Installed, tmp_path: Path) -> None:
    models = installed(tmp_path, "model", "list")
    assert models.returncode == 0, models.stderr
    assert {"canary", "qwen3", "internvl3"} <= {line.split()[0] for line in models.stdout.splitlines() if line}
    nothing = installed(tmp_path, "gate", "transformers==5.0.0")
    assert nothing.returncode == 2
    assert f"there is no baseline at {tmp_path / 'baseline.yaml'}" in nothing.stderr
    assert "no matrix.yaml here or above" in nothing.stderr


def test_it_is_found_from_below_and_leaves_nothing_for_git(installed: Installed, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    below = tmp_path / "src" / "service"
    below.mkdir(parents=True)
    (tmp_path / "matrix.yaml").write_text(
        "version: 1\naxes:\n  python: '3.11'\n  lmdeploy: '1.0'\n  transformers: '4.57.3'\n"
        "  backend: [pytorch]\n  model: [canary]\n"
    )
    planned = installed(below, "plan", "-v")
    assert planned.returncode == 0, planned.stderr
    assert "lmdeploy1.0-transformers4.57.3-pytorch-canary-py3.11" in planned.stdout
    seen = subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["??", "matrix.yaml"]

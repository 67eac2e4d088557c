"""In somebody else's repository, with nothing of this one but its wheel."""

from __future__ import annotations

import json
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import uv_binary
from tests.adoption import Installed, build_wheel, install_wheel
from tests.miniatures import make_project

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


SERVICE = """\
from fastapi import FastAPI
from lmdeploy import pipeline
from transformers import AutoProcessor

app = FastAPI()
"""
PROJECT = """\
[project]
name = "service"
version = "1"
requires-python = ">=3.11,<3.12"
dependencies = ["lmdeploy==1.0", "transformers==4.57.3"]
"""


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, installed: Installed, miniature_environment: dict[str, str]
) -> Path:
    """A stranger's repository: a service with a lock that uv made, committed."""
    root = tmp_path_factory.mktemp("stranger") / "service"
    (root / "src" / "service").mkdir(parents=True)
    (root / "src" / "service" / "app.py").write_text(SERVICE)
    (root / "pyproject.toml").write_text(PROJECT)
    make_project(root)
    (root / "matrix.yaml").unlink()
    subprocess.run([uv_binary(), "lock", "-q"], cwd=root, env=miniature_environment, check=True)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "A service")
    dry = installed(root, "init", "--dry-run", "--pre-commit")
    assert dry.returncode == 0, dry.stderr
    assert git(root, "status", "--short") == ""
    made = installed(root, "init", "--pre-commit")
    assert made.returncode == 0, made.stderr
    assert "uv.lock: lmdeploy 1.0, transformers 4.57.3; all 4 packages; Python 3.11" in made.stdout
    matrix = (root / "matrix.yaml").read_text()
    assert "- lock: uv.lock\n    backend: [pytorch, turbomind]\n" in matrix
    # the miniature packages have no engine; the reference runs on them
    (root / "matrix.yaml").write_text(
        matrix.replace("backend: [pytorch, turbomind]", "backend: transformers").replace("model: qwen3", "model: mini")
    )
    return root


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def test_init_writes_what_it_says_and_never_over_what_is_there(installed: Installed, service: Path) -> None:
    again = installed(service, "init", "--pre-commit")
    assert again.returncode == 0
    for name in ("matrix.yaml", ".github/workflows/lmdeploy-harness.yml", ".pre-commit-config.yaml"):
        assert f"left as it is: {name}" in again.stdout
    assert set(git(service, "status", "--short").split()) - {"??"} >= {"matrix.yaml", ".github/", ".gitignore"}


def test_plan_run_baseline_and_gate_on_a_strangers_lock(installed: Installed, service: Path) -> None:
    name = "lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11-uv.lock"
    planned = installed(service / "src", "plan", "--format", "json")
    assert [each["id"] for each in json.loads(planned.stdout)["combinations"]] == [name], planned.stderr
    ran = installed(service, "run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (record,) = map(json.loads, (service / "reports" / "results.jsonl").read_text().splitlines())
    assert record["stack"] == {"lmdeploy": "1.0", "pillow": "1.0", "torch": "1.0", "transformers": "4.57.3"}
    accepted = installed(service, "baseline")
    assert (accepted.returncode, (service / "baseline.yaml").is_file()) == (0, True), accepted.stderr
    git(service, "add", "-A")
    git(service, "commit", "-qm", "The harness")
    nothing = installed(service, "gate", "--from-diff", "HEAD")
    assert nothing.returncode == 3, nothing.stdout + nothing.stderr

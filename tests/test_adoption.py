"""In somebody else's repository, with nothing of this one but its wheel."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import uv_binary
from harness.matrix import load_matrix
from tests import ROOT
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


PAGE = ROOT / "docs" / "in-your-repository.md"
STACKS = ROOT / "docs" / "your-stack.md"


@pytest.fixture
def service(tmp_path: Path, miniature_environment: dict[str, str]) -> Path:
    """A stranger's repository: a service with a lock that uv made, committed."""
    root = tmp_path / "service"
    (root / "src" / "service").mkdir(parents=True)
    (root / "src" / "service" / "app.py").write_text(SERVICE)
    (root / "pyproject.toml").write_text(PROJECT)
    make_project(root)
    (root / "matrix.yaml").unlink()
    subprocess.run([uv_binary(), "lock", "-q"], cwd=root, env=miniature_environment, check=True)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "A service")
    return root


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def test_init_writes_what_it_says_and_never_over_what_is_there(installed: Installed, service: Path) -> None:
    dry = installed(service, "init", "--dry-run", "--pre-commit")
    assert (dry.returncode, git(service, "status", "--short")) == (0, ""), dry.stderr
    made = installed(service, "init", "--pre-commit")
    assert made.returncode == 0, made.stderr
    assert "uv.lock: lmdeploy 1.0, transformers 4.57.3; all 4 packages; Python 3.11" in made.stdout
    assert "- lock: uv.lock\n    backend: [pytorch, turbomind]\n" in (service / "matrix.yaml").read_text()
    written = {"matrix.yaml", ".github/", ".gitignore", ".pre-commit-config.yaml"}
    assert set(git(service, "status", "--short").split()) == {"??", *written}
    git(service, "add", "-A")
    again = installed(service, "init", "--pre-commit")
    assert again.returncode == 0
    for name in ("matrix.yaml", ".github/workflows/lmdeploy-harness.yml", ".pre-commit-config.yaml"):
        assert f"left as it is: {name}" in again.stdout
    assert git(service, "diff") == ""


def test_the_pages_commands_lead_a_stranger_to_a_gate(installed: Installed, service: Path) -> None:
    name = "lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11-uv.lock"
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for line in re.findall(r"^\$ uvx lmdeploy-harness (.*)$", PAGE.read_text(), re.MULTILINE):
        told = re.search(r"# exit code (\d)", line)
        words = shlex.split(line, comments=True)
        if words[0] == "gate":
            git(service, "add", "-A")
            git(service, "commit", "-qm", "The harness")
        done[words[0]] = installed(service, *words, *(["--format", "json"] if words[0] == "plan" else []))
        assert done[words[0]].returncode == int(told[1] if told is not None else 0), (line, done[words[0]])
        if words[0] == "init":  # the miniature packages have no engine; the reference runs on them
            file = service / "matrix.yaml"
            text = file.read_text().replace("[pytorch, turbomind]", "transformers").replace("canary", "mini")
            file.write_text(text)
    assert list(done) == ["init", "plan", "run", "baseline", "gate"]
    assert [each["id"] for each in json.loads(done["plan"].stdout)["combinations"]] == [name]
    (record,) = map(json.loads, (service / "reports" / "results.jsonl").read_text().splitlines())
    assert record["stack"] == {"lmdeploy": "1.0", "pillow": "1.0", "torch": "1.0", "transformers": "4.57.3"}
    for version, code in {"4.38.2": 0, "5.0.0": 1}.items():  # as a bot writes it: the project's file and its lock
        (service / "pyproject.toml").write_text(PROJECT.replace("4.57.3", version))
        subprocess.run([uv_binary(), "lock", "-q"], cwd=service, env=dict(installed.variables), check=True)
        gated = installed(service, "gate", "--from-diff", "HEAD", "--retries", "0")
        assert gated.returncode == code, gated.stdout + gated.stderr
    git(service, "checkout", "-q", "--", "pyproject.toml", "uv.lock")
    assert installed(service, "gate", "transformers==99.0").returncode == 2
    (service / "Dockerfile").write_text("FROM python:3.11\nRUN pip install lmdeploy==$VERSION\n")
    git(service, "add", "-N", "Dockerfile")
    unread = installed(service, "gate", "--from-diff", "HEAD")
    assert (unread.returncode, "Dockerfile" in unread.stdout) == (5, True), unread.stdout + unread.stderr


def test_matrices_that_the_pages_show_are_valid(tmp_path: Path) -> None:
    pages = "".join(page.read_text() for page in (ROOT / "README.md", PAGE, STACKS))
    blocks = re.findall(r"^```(yaml|toml)\n(.*?)^```", pages, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    for kind, text in blocks:
        file = tmp_path / ("pyproject.toml" if kind == "toml" else "matrix.yaml")
        file.write_text(text)
        load_matrix(file)

"""The acceptance test with the real packages: a stranger's service, its lock, and the bumps that a bot would make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import uv_binary
from tests.adoption import Installed, build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.timeout(5400), pytest.mark.xdist_group("adoption-real")]

PINS = {
    "lmdeploy": "0.11.1",
    "transformers": "4.57.3",
    "torch": "2.8.0",
    "torchvision": "0.23.0",
    "pydantic": "2.12.5",
    "fastapi": "0.121.3",
}
CODE = """\
from fastapi import FastAPI
from lmdeploy import PytorchEngineConfig, pipeline
from transformers import AutoTokenizer

app = FastAPI()


def answer(text: str) -> str:
    return pipeline("Qwen/Qwen3-0.6B", backend_config=PytorchEngineConfig()).text
"""
NAME = "lmdeploy0.11.1-transformers4.57.3-pytorch-qwen3-py3.11-uv.lock"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with what it declares, in an environment of its own."""
    folder = tmp_path_factory.mktemp("fresh")
    wheel = build_wheel(folder)
    subprocess.run([uv_binary(), "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv_binary(), "pip", "install", "-q", "--python", python, wheel], check=True)
    return Installed(folder / "venv", dict(os.environ), seconds=3600)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, installed: Installed) -> Path:
    """The stranger's repository with its lock, set up, run, accepted and committed."""
    root = tmp_path_factory.mktemp("stranger")
    (root / "src").mkdir()
    (root / "src" / "app.py").write_text(CODE)
    lock(root, PINS)
    git(root, "init", "-q", "-b", "main")
    for command in ("init", "plan", "run", "baseline"):
        done = installed(root, command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "A service with a gate")
    return root


def lock(root: Path, pins: dict[str, str]) -> None:
    wanted = ", ".join(f'"{name}=={version}"' for name, version in pins.items())
    text = '[project]\nname = "service"\nversion = "1"\nrequires-python = ">=3.11,<3.12"\n'
    (root / "pyproject.toml").write_text(f"{text}dependencies = [{wanted}]\n")
    subprocess.run([uv_binary(), "lock", "-q"], cwd=root, check=True)


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def gate(installed: Installed, root: Path, *arguments: str) -> tuple[int, str]:
    done = installed(root, "gate", "--retries", "0", *arguments)
    return done.returncode, done.stdout + done.stderr


def test_the_records_stack_is_the_lock(service: Path) -> None:
    export = [uv_binary(), "export", "--frozen", "-q", "--no-hashes", "--no-header", "--no-annotate"]
    export.append("--no-emit-project")
    lines = subprocess.run(export, cwd=service, capture_output=True, text=True, check=True).stdout.splitlines()
    here = [line for line in lines if "sys_platform == 'win32'" not in line and "!= 'CPython'" not in line]
    exported = dict(line.split(" ;")[0].split("==") for line in here)
    (record,) = map(json.loads, (service / "reports" / "results.jsonl").read_text().splitlines())
    assert record["id"] == NAME
    assert record["stack"].items() <= exported.items()
    assert set(exported) - set(record["stack"]) <= {"cffi", "colorama", "pycparser"}  # behind markers of other systems
    assert PINS.items() <= record["stack"].items()


@pytest.fixture
def restored(service: Path) -> Iterator[Path]:
    """The repository, as it was committed again afterwards."""
    yield service
    git(service, "checkout", "-q", "--", ".")


def test_a_harmless_bump_of_the_lock(installed: Installed, restored: Path) -> None:
    lock(restored, PINS | {"pydantic": "2.13.0"})
    code, told = gate(installed, restored, "--from-diff", "main")
    assert code == 0, told


def test_a_bump_that_breaks_is_named_and_diagnosed(installed: Installed, restored: Path) -> None:
    lock(restored, PINS | {"transformers": "5.0.0"})
    code, told = gate(installed, restored, "--from-diff", "main")
    assert (code, "is_safetensors_available" in told) == (1, True), told


def test_a_version_that_does_not_exist_is_a_mistake(installed: Installed, restored: Path) -> None:
    code, told = gate(installed, restored, "transformers==99.0")
    assert (code, "99.0" in told) == (2, True), told


def test_a_change_that_cannot_be_read_is_said(installed: Installed, restored: Path) -> None:
    (restored / "Dockerfile").write_text("FROM python:3.11\nRUN pip install lmdeploy==$VERSION\n")
    git(restored, "add", "-N", "Dockerfile")
    code, told = gate(installed, restored, "--from-diff", "main")
    assert (code, "Dockerfile" in told) == (5, True), told

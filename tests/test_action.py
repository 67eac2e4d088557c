"""The shell parts of the action, run without GitHub, and the forms of what other systems read."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from harness.cli.main import main
from tests import ROOT
from tests.scan.miniatures import TABLE, engine, publish, wheel

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ROOT / ".github" / "action"
UVX = """#!/bin/sh
printf '%s\\n' "$@" > called
mkdir -p gate && echo comment > gate/comment.md
exit "${GATE_ENDS:-0}"
"""


class Step(Protocol):
    """Runs a shell part in a checkout."""

    def __call__(self, part: str, **given: str) -> subprocess.CompletedProcess[str]:
        """How it ended."""


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """The parts with a ``uvx`` and a ``gh`` that only write down what they are asked."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"uvx": UVX, "gh": UVX}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(part: str, **given: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "VERSION": "lmdeploy-harness==0.1",
            "OUT": "gate",
        }
        return subprocess.run(
            [str(PARTS / part)], cwd=tmp_path, env={**environment, **given}, capture_output=True, text=True, check=False
        )

    return run


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines()


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({"BUMP": "transformers==5.23.0"}, "gate transformers==5.23.0 --out gate"),
        ({"BUMP": "a==1", "SHARD": "2/5"}, "gate a==1 --shard 2/5 --out gate"),
        ({"BUMP": "a==1", "BASE": "main", "ARGUMENTS": "--samples 5"}, "gate a==1 --out gate --samples 5"),
        ({}, "gate --out gate"),
    ],
)
def test_the_gate_is_asked_as_the_inputs_say(step: Step, tmp_path: Path, given: dict[str, str], arguments: str) -> None:
    done = step("gate", **given)
    assert done.returncode == 0, done.stderr
    assert called(tmp_path) == ["--from", "lmdeploy-harness==0.1", "lmdeploy-harness", *arguments.split()]
    assert f"code=0\npart={given.get('SHARD', '')[:1]}\n" == (tmp_path / "output").read_text()


def test_a_pull_request_is_compared_with_its_base(step: Step, tmp_path: Path) -> None:
    origin, checkout = tmp_path / "origin", tmp_path
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q", str(origin)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], cwd=origin, check=True)
    subprocess.run([*git, "init", "-q", str(checkout)], check=True)
    subprocess.run([*git, "remote", "add", "origin", str(origin)], cwd=checkout, check=True)
    done = step("gate", BASE="main")
    assert done.returncode == 0, done.stderr
    assert called(tmp_path)[3:] == ["gate", "--from-diff", "origin/main", "--out", "gate"]
    subprocess.run(["git", "rev-parse", "--verify", "origin/main"], cwd=checkout, check=True, capture_output=True)


def test_the_shards_are_judged_together(step: Step, tmp_path: Path) -> None:
    for part in ("1", "2"):
        (tmp_path / "shards" / f"gate-{part}").mkdir(parents=True)
        (tmp_path / "shards" / f"gate-{part}" / "gate.json").touch()
    assert step("gate", MERGE="shards", GATE_ENDS="1").returncode == 0
    assert called(tmp_path)[3:] == ["gate-merge", *(f"shards/gate-{n}/gate.json" for n in "12"), "--out", "gate"]
    assert "code=1" in (tmp_path / "output").read_text()
    done = step("gate", MERGE="programs")
    assert "no gate.json in programs" in done.stdout
    assert (tmp_path / "output").read_text().endswith("code=2\npart=\n")


@pytest.mark.parametrize(
    ("code", "shard", "ends"),
    [
        ("0", "", 0),
        ("1", "", 1),
        ("2", "", 2),
        ("3", "", 0),
        ("4", "", 4),
        ("5", "", 5),
        ("", "", 1),
        ("1", "1/5", 0),
        ("2", "1/5", 2),
        ("3", "1/5", 0),
        ("5", "1/5", 0),
        ("130", "1/5", 130),
    ],
)
def test_the_job_ends_as_the_gate_does(step: Step, code: str, shard: str, ends: int) -> None:
    assert step("verdict", CODE=code, SHARD=shard).returncode == ends


def test_the_comment_is_written_over(step: Step, tmp_path: Path) -> None:
    assert step("comment", NUMBER="7").returncode == 0
    assert not (tmp_path / "called").exists()
    step("gate", BUMP="a==1")
    assert step("comment", NUMBER="7").returncode == 0
    wanted = "pr comment 7 --edit-last --create-if-none --body-file gate/comment.md"
    assert called(tmp_path) == wanted.split()


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.github-actions", "action.yml"), ("vendor.gitlab-ci", ".gitlab/lmdeploy-gate.yml")],
)
def test_what_other_systems_read_fits_their_schema(schema: str, file: str) -> None:
    checker = os.path.join(os.path.dirname(sys.executable), "check-jsonschema")  # noqa: PTH118, PTH120 - of text
    command = [checker, "--builtin-schema", schema, str(ROOT / file)]
    if "gitlab" in schema:
        command += ["--data-transform", "gitlab-ci"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hook_scans_the_code_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hook,) = YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")
    program, *arguments = shlex.split(hook["entry"])
    assert program == "lmdeploy-harness"
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0"))
    publish(index, "transformers", wheel("transformers", "4.42.0", TABLE))
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    (tmp_path / "mine" / "app.py").write_text("from lmdeploy.archs import get_model_arch\n")
    fixed = ["--provider", "lmdeploy==0.9.0", "--index-url", index.as_uri(), "--cache", str(tmp_path / "cache")]
    assert CliRunner().invoke(main, [*arguments, *fixed]).exit_code == 0
    (tmp_path / "mine" / "app.py").write_text("from lmdeploy.serve.vl_async_engine import VLAsyncEngine\n")
    done = CliRunner().invoke(main, [*arguments, *fixed])
    assert done.exit_code == 1
    assert "VLAsyncEngine is missing at import, app.py:1" in done.stdout
    (tmp_path / "mine" / "poetry.lock").write_text('[[package]]\nname = "lmdeploy"\nversion = "0.9.0"\n')
    assert CliRunner().invoke(main, [*arguments, "--lock", "poetry.lock", *fixed[2:]]).stdout == done.stdout
    (tmp_path / "mine" / "poetry.lock").write_text('[[package]]\nname = "torch"\nversion = "2.8.0"\n')
    other = CliRunner().invoke(main, [*arguments, "--lock", "poetry.lock", *fixed[2:]])
    assert (other.exit_code, "poetry.lock names no lmdeploy and no transformers" in other.stderr) == (2, True)

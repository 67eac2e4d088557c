"""What is found in somebody's repository, and which files ``init`` makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from ruamel.yaml import YAML

from harness.adopt import write
from harness.adopt.look import Repository, look
from harness.environments.lock_files.reader import LockFiles
from harness.matrix import load_matrix, parse_matrix
from harness.matrix.model_files import load_families
from harness.matrix.project import SHIPPED
from harness.process.child import Limits

if TYPE_CHECKING:
    from harness.environments.resolve import Resolver

PINS = "lmdeploy==0.11.1\ntransformers==4.57.3\n"
POETRY = """\
[[package]]
name = "lmdeploy"
version = "0.11.1"
optional = false
groups = ["serve"]
[[package]]
name = "transformers"
version = "4.57.3"
optional = false
groups = ["serve"]
[metadata]
lock-version = "2.1"
python-versions = "^3.12"
"""


def found_in(folder: Path, files: dict[str, str]) -> Repository:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    reader = LockFiles(cast("Resolver", None), Limits(60))  # pins of both packages leave nothing to ask
    return look(folder, reader, load_families(SHIPPED / "models"))


def test_a_lock_goes_before_requirements_and_the_others_are_told(tmp_path: Path) -> None:
    project = "[tool.poetry.group.serve.dependencies]\nlmdeploy = '0.11.1'\n"
    found = found_in(
        tmp_path, {"poetry.lock": POETRY, "pyproject.toml": project, "requirements.txt": PINS, "notes.txt": "lmdeploy"}
    )
    (lock,) = found.locks
    assert (lock.name, lock.groups, lock.python, lock.read_python) == ("poetry.lock", ("serve",), "3.12", True)
    assert found.passed_over == [("requirements.txt", "poetry.lock says it already")]


def test_of_several_requirements_the_one_with_lmdeploy(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"requirements-dev.txt": "pytest\n", "requirements/serve.txt": PINS})
    assert [each.name for each in found.locks] == []  # a folder's text files count only when they are called so
    found = found_in(tmp_path, {"requirements.txt": PINS})
    assert [each.name for each in found.locks] == ["requirements.txt"]
    assert found.passed_over[0][0] == "requirements-dev.txt"
    assert "has no lmdeploy" in found.passed_over[0][1]


def test_the_code_says_engine_and_model_and_where_it_is(tmp_path: Path) -> None:
    code = 'from lmdeploy import pipeline, TurbomindEngineConfig\npipeline("Qwen/Qwen3-0.6B")\n'
    found = found_in(
        tmp_path,
        {
            "requirements.txt": PINS,
            "src/service/app.py": code,
            "serve.sh": "lmdeploy serve api_server internlm/internlm2-chat-7b --backend pytorch\n",
            ".venv/lib/lmdeploy/x.py": "import transformers\n",
            "tests/test_app.py": "import pytest\n",
        },
    )
    assert sorted(found.backends) == ["pytorch", "turbomind"]
    assert sorted(found.models) == ["internlm2", "qwen3"]
    assert found.code == ["src"]


@pytest.mark.parametrize(("pins", "model"), [(PINS, "canary"), (PINS.replace("0.11.1", "0.18.0"), "canary")])
def test_the_matrix_is_short_and_valid(pins: str, model: str, tmp_path: Path) -> None:
    found = found_in(tmp_path, {"requirements.txt": pins})
    text = write.matrix_yaml(found)
    assert len(text.splitlines()) <= 12
    matrix = parse_matrix(text.encode())
    assert matrix.include[0].lock == "requirements.txt"
    assert (matrix.include[0].model, matrix.include[0].backend) == ((model,), ("pytorch", "turbomind"))
    assert matrix.include[0].python == ("3.11",)
    assert "nothing here says it" in text
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n" + write.matrix_toml(found))
    assert load_matrix(tmp_path / "pyproject.toml").include == matrix.include


def test_a_whole_stack_that_cannot_serve_images_is_tried_with_text(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"poetry.lock": POETRY.replace("serve", "main")})
    assert "model: qwen3" in write.matrix_yaml(found)
    newer = POETRY.replace("serve", "main").replace("0.11.1", "0.16.0")
    assert "model: canary" in write.matrix_yaml(found_in(tmp_path, {"poetry.lock": newer}))


def test_the_workflow_uses_the_published_command_and_watches_what_is_deployed(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"requirements.txt": PINS})
    text = write.workflow(found, "matrix.yaml")
    workflow = YAML(typ="safe").load(text)
    watched = workflow["on"]["pull_request"]["paths"]
    assert {"requirements.txt", "requirements*.txt", "matrix.yaml", "baseline.yaml"} <= set(watched)
    runs = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    assert any("uvx lmdeploy-harness@" in each and '--from-diff "$BASE"' in each for each in runs)
    assert "--from ." not in text
    file = tmp_path / "workflow.yml"
    file.write_text(text)
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [checker, "--builtin-schema", "vendor.github-workflows", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_hook_is_added_beside_those_that_are_there(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"requirements.txt": PINS, "app.py": "import lmdeploy\n"})
    file = tmp_path / ".pre-commit-config.yaml"
    file.write_text("# ours\nrepos:\n  - repo: local\n    hooks: [{id: own, name: a, entry: b, language: c}]\n")
    written = write.with_hook(file, found)
    assert written.what == write.ADDED
    assert written.text.startswith("# ours\n")
    repos = YAML(typ="safe").load(written.text)["repos"]
    assert [each["hooks"][0]["id"] for each in repos] == ["own", "lmdeploy-harness"]
    assert repos[1]["hooks"][0]["entry"].endswith("scan --code app.py --lock requirements.txt")
    file.write_text(written.text)
    assert not write.with_hook(file, found).changes

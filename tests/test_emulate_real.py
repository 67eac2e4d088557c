"""The real packages: one pair of versions, its emulated verdict, and defects that must not go unnoticed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.interpreters import find_interpreter

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
ROOT = Path(__file__).parent.parent
START = ROOT / "harness" / "probes" / "start.py"
PAIR = ("0.16.0", "4.57.6")


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the pair."""
    folder = tmp_path_factory.mktemp("emulated") / "environment"
    python = find_interpreter("3.11")
    subprocess.run(["uv", "venv", "-q", "--python", python, folder], check=True)
    packages = [f"lmdeploy=={PAIR[0]}", f"transformers=={PAIR[1]}"]
    install = [
        "uv",
        "pip",
        "install",
        "-q",
        "--only-binary",
        ":all:",
        "--python",
        str(folder / "bin" / "python"),
        *packages,
    ]
    subprocess.run(install, check=True)
    return folder / "bin" / "python"


def emulated(interpreter: Path, folder: Path, defect: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The stage's result and its facts."""
    spec = YAML(typ="safe").load(ROOT / "models" / "canary.yaml")
    model = {name: spec[name] for name in ("name", "architecture", "model_type", "smoke")}
    request = {
        "check": "emulation",
        "backend": "pytorch",
        "events": str(folder / "events.jsonl"),
        "scratch": str(folder),
        "lmdeploy": PAIR[0],
        "transformers": PAIR[1],
        "options": {"threads": 2},
        "model": {**model, "folder": str(ROOT / "models" / "canary")},
    }
    (folder / "request.json").write_text(json.dumps(request))
    script = [ROOT / "tests" / "emulate_planted.py", START, defect] if defect else [START]
    subprocess.run(
        [interpreter, "-I", *script, folder / "request.json"],
        check=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (result,) = [each for each in events if each["event"] == "result"]
    return result, {each["name"]: each["value"] for each in events if each["event"] == "fact"}


def test_the_pair_passes_and_says_what_it_stood_on(interpreter: Path, tmp_path: Path) -> None:
    result, facts = emulated(interpreter, tmp_path)
    assert (result["stage"], result["outcome"]) == ("emulate", "pass"), result["message"]
    assert "emulated" in result["message"]
    assert facts["emulated_see"]["answers"] == ["top left red, top right blue, bottom left green, bottom right yellow"]
    assert json.loads(facts["emulated_structure"]["answers"][0])["bottom_right"] == "yellow"
    for kind in ("image", "text"):
        assert all(part["within"] for part in facts[f"compared_{kind}"].values())
        assert set(facts[f"compared_{kind}"]) == {"prefill", "decode"}
    assert facts["control"]["noticed"]
    assert "triton.runtime.driver" in facts["stand_ins"]["replaced"]


@pytest.mark.parametrize("defect", ["weight-loading", "mrope-positions", "patch-order", "attention-scale"])
def test_a_planted_defect_is_caught(interpreter: Path, tmp_path: Path, defect: str) -> None:
    result, _ = emulated(interpreter, tmp_path, defect)
    assert (result["outcome"], result["reason"]) == ("fail", "wrong-answer"), result["message"]


def test_without_its_control_the_stage_does_not_count(interpreter: Path, tmp_path: Path) -> None:
    result, _ = emulated(interpreter, tmp_path, "blind-control")
    assert result["outcome"] == "blocked"
    assert "control" in result["message"]

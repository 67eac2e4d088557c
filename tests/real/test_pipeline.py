"""The real packages: the troubleshooting log's stacks and one good one, as a user runs them. Gigabytes and minutes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.matrix.model_files import load_models
from harness.matrix.project import Project
from harness.results.store import ResultStore
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.core.records import Record

pytestmark = [pytest.mark.real, pytest.mark.timeout(1700)]


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
    """A copy of the shipped matrix and models, with nothing known."""
    folder = tmp_path_factory.mktemp("real")
    shutil.copy(ROOT / "matrix.yaml", folder)
    (folder / "models").symlink_to(ROOT / "models")
    return folder


@pytest.fixture(scope="module")
def quick(project: Path) -> Mapping[str, Record]:
    """Records of ``lmdeploy-harness run -t quick`` by id."""
    done = harness(project, "run", "-t", "quick")
    assert done.returncode == 0, done.stdout[-4000:]
    return {record.id: record for record in ResultStore(project / "reports").records()}


def the(records: Mapping[str, Record], *words: str) -> tuple[Record, Verdict]:
    """The one record whose id holds all the words."""
    (found,) = [record for identity, record in records.items() if all(word in identity for word in words)]
    return found, Verdict.parse(found.verdict)


def deciding_line(record: Record) -> str:
    for stage in record.stages:
        for check in stage.checks:
            if check.outcome is not Status.PASS and check.diagnosis is not None:
                return check.diagnosis.line
    return ""


LOG = [
    (("pytorch-canary-", "legacy-module"), Stage.IMPORT, Reason.ENTRYPOINT, "lmdeploy.serve.api_server"),
    (("pytorch-canary-", "no-backend-config"), Stage.BOOT, Reason.ENTRYPOINT, "device_type"),
    (("pytorch-canary-gptq",), Stage.CONFIGURE, Reason.QUANTISATION, "Unsupported quant method: gptq"),
    (("transformers4.57.3-pytorch-qwen-vl-chat-int4",), Stage.IMPORT, Reason.SYMBOL, "BeamSearchScorer"),
    (("transformers4.38.2-pytorch-qwen-vl-chat-int4",), Stage.IMPORT, Reason.SYMBOL, "ImagesKwargs"),
]


@pytest.mark.parametrize(("words", "stage", "reason", "line"), LOG, ids=[f"entry-{n}" for n in range(1, 6)])
def test_the_logs_failures_have_their_true_stage_and_last_line(
    quick: Mapping[str, Record], words: tuple[str, ...], stage: Stage, reason: Reason, line: str
) -> None:
    record, verdict = the(quick, *words)
    assert (verdict.status, verdict.stage, verdict.reason) == (Status.FAIL, stage, reason)
    assert line in deciding_line(record)


@pytest.mark.parametrize("stack", ["lmdeploy0.11.1-transformers4.57.3", "lmdeploy0.18.0-transformers5.17.0"])
def test_the_canary_answers_right_on_transformers(quick: Mapping[str, Record], stack: str) -> None:
    record, verdict = the(quick, stack, "-transformers-canary-")
    assert verdict == Verdict(Status.PASS)
    assert [each.stage for each in record.stages][-3:] == [Stage.BOOT, Stage.SEE, Stage.STRUCTURE]


@pytest.mark.parametrize("backend", ["pytorch", "turbomind"])
def test_engines_are_blocked_only_by_the_missing_gpu(quick: Mapping[str, Record], backend: str) -> None:
    record, verdict = the(quick, "lmdeploy0.18.0-transformers5.17.0", f"-{backend}-canary-")
    if record.machine.gpus:
        pytest.skip("this machine has a GPU")
    assert str(verdict) == "blocked/boot/driver-or-gpu-unavailable"
    assert [each.stage for each in record.stages[:-1]] == [
        Stage.RESOLVE,
        Stage.INSTALL,
        Stage.IMPORT,
        Stage.CONFIGURE,
        Stage.PREPROCESS,
        *([Stage.EMULATE] if backend == "pytorch" else []),
    ]


@pytest.mark.parametrize("stack", ["lmdeploy0.11.1-transformers4.57.3", "lmdeploy0.18.0-transformers5.17.0"])
def test_the_pytorch_engine_emulated_agrees_with_transformers(quick: Mapping[str, Record], stack: str) -> None:
    record, _ = the({name: each for name, each in quick.items() if is_plain(each)}, stack, "-pytorch-canary-py")
    (check,) = next(stage for stage in record.stages if stage.stage is Stage.EMULATE).checks
    facts: Mapping[str, Any] = check.facts
    assert check.outcome is Status.PASS
    right = "top left red, top right blue, bottom left green, bottom right yellow"
    assert facts["emulated_see"]["answers"] == [right, right]
    assert json.loads(facts["emulated_structure"]["answers"][0])["bottom_right"] == "yellow"
    for name in ("see", "structure"):
        assert set(facts[f"compared_{name}"]) == {"prefill", "decode", "same_answer"}
    assert facts["comparison"]["small"]
    assert facts["never_written"] == []
    assert facts["control"]["noticed"]
    assert "triton.runtime.driver" in facts["stand_ins"]["replaced"]


def is_plain(record: Record) -> bool:
    """Whether the engine is started in the ordinary way."""
    return "launch" not in record.axes


def test_defects_planted_in_the_engine_are_caught_emulated(
    quick: Mapping[str, Record], project: Path, tmp_path: Path
) -> None:
    record, _ = the(quick, "lmdeploy0.18.0-transformers5.17.0", "-pytorch-canary-")
    python = Project.of(project / "matrix.yaml").environments / str(record.lock) / "bin" / "python"
    spec = load_models(ROOT / "models")["canary"]
    request = {
        "check": "emulation",
        "stage": "emulate",
        "probe": "emulation.stage:emulate",
        "backend": "pytorch",
        "events": str(tmp_path / "events.jsonl"),
        "scratch": str(tmp_path),
        "lmdeploy": record.axes["lmdeploy"],
        "transformers": record.axes["transformers"],
        "model": {
            "name": spec.name,
            "architecture": spec.architecture,
            "model_type": spec.model_type,
            "smoke": spec.smoke.model_dump(mode="json"),
            "folder": str(ROOT / "models" / "canary"),
        },
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    script = [ROOT / "tests" / "probes" / "emulation" / "planted.py", ROOT / "harness" / "probes" / "start.py"]
    subprocess.run([python, "-I", *script, "request.json", "found.json"], cwd=tmp_path, check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.pop("nothing")["within"]
    assert set(found) == {
        "weight-loading",
        "mrope-positions",
        "patch-order",
        "patch-order-unseen",
        "attention-scale",
    }
    assert {name: values["within"] for name, values in found.items()} == dict.fromkeys(found, False)
    assert found["patch-order-unseen"]["answer"] == spec.smoke.see.expected  # only the numbers show it


def test_kernels_in_step_compute_what_they_compute_alone(
    quick: Mapping[str, Record], project: Path, tmp_path: Path
) -> None:
    record, _ = the(quick, "lmdeploy0.18.0-transformers5.17.0", "-pytorch-canary-")
    python = Project.of(project / "matrix.yaml").environments / str(record.lock) / "bin" / "python"
    script = [ROOT / "tests" / "probes" / "emulation" / "in_step.py", ROOT / "harness" / "probes" / "start.py"]
    subprocess.run([python, "-I", *script, "found.json"], cwd=tmp_path, check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.pop("replaced")
    assert {name: values["equal"] for name, values in found.items()} == dict.fromkeys(found, True)
    assert [name for name, values in found.items() if not values["in_step"]] == ["atomics-again"]


def test_a_second_run_has_nothing_to_do(quick: Mapping[str, Record], project: Path) -> None:
    file = ResultStore(project / "reports").file
    before = file.read_bytes()
    assert quick
    assert harness(project, "run", "-t", "quick").returncode == 0
    assert file.read_bytes() == before


def test_incidents_reproduce_and_are_remedied(quick: Mapping[str, Record], project: Path) -> None:
    assert quick
    done = harness(project, "incidents", "--format", "json")
    assert done.returncode == 0, done.stdout[-4000:]
    outcomes = {each["id"]: each for each in json.loads(done.stdout)}
    for name in ("moved-entry-point", "backend-config-none", "beam-search-scorer", "images-kwargs"):
        assert {each["finding"] for each in outcomes[name]["reproductions"]} == {"still reproduces"}, name
        assert outcomes[name]["diagnosed"], name
        assert outcomes[name]["remedied"], name
    gptq = outcomes["gptq-on-pytorch"]
    assert {each["finding"] for each in gptq["reproductions"]} == {"still reproduces"}
    assert gptq["diagnosed"]

"""Which checks a model has to answer in which stage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.verdict import Stage
from harness.engines import Backend, Launch
from harness.matrix.model_files import load_models
from harness.pipeline import checks
from harness.pipeline.check_runner import Subject, gpu_budget_mib, weights_mib
from harness.pipeline.checkpoints import Checkpoint
from harness.pipeline.checks import checks_of
from harness.probes.engines.settings import SMALLEST_CACHE_MIB, WORKSPACE_MIB
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.matrix.models import ModelSpec


@pytest.fixture(scope="module")
def models() -> Mapping[str, ModelSpec]:
    return load_models(ROOT / "models")


@pytest.mark.parametrize(
    ("model", "stage", "asked"),
    [
        ("canary", Stage.PREPROCESS, ["image-and-prompt"]),
        ("qwen3", Stage.PREPROCESS, []),
        ("qwen3", Stage.CONFIGURE, ["backend-support", "model-config", "model-graph"]),
        ("qwen3", Stage.EMULATE, ["emulation"]),
        ("qwen2-vl-2b-instruct", Stage.EMULATE, []),
    ],
)
def test_a_miniature_is_asked_for_its_numbers_and_not_for_its_words(
    model: str, stage: Stage, asked: list[str], models: Mapping[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "machine", lambda: SimpleNamespace(gpus=()))
    combination: Any = SimpleNamespace(backend=Backend.PYTORCH, launch=Launch.LIBRARY)
    assert [check.name for check in checks_of(combination, models[model], stage)] == asked


def test_a_miniature_takes_the_memory_of_its_own_files_whatever_the_target_allows(
    models: Mapping[str, ModelSpec], tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * (2**20 + 1))
    combination: Any = SimpleNamespace(target=SimpleNamespace(gpu_memory_gib=24))
    lock: Any = None
    miniature = Subject(combination, models["llama4"], Checkpoint(tmp_path), lock)
    assert (weights_mib(miniature), gpu_budget_mib(miniature)) == (2, WORKSPACE_MIB + SMALLEST_CACHE_MIB + 2)
    real = Subject(combination, models["qwen2-vl-2b-instruct"], Checkpoint(tmp_path), lock)
    assert (weights_mib(real) > 4000, gpu_budget_mib(real)) == (True, 24 * 1024)

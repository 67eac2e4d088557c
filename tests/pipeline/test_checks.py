"""Which checks a model has to answer in which stage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.verdict import Stage
from harness.engines import Backend, Launch
from harness.matrix.model_files import load_models
from harness.pipeline import checks
from harness.pipeline.checks import checks_of
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

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

"""Which class of transformers a checkpoint's architecture means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.probes.miniature.classes import Unknown, model_class

TRANSFORMERS: Any = SimpleNamespace(
    __version__="5.17.0",
    PhimoeForCausalLM="phimoe",
    Kimi_K25ForConditionalGeneration="kimi",
    models=SimpleNamespace(
        auto=SimpleNamespace(
            modeling_auto=SimpleNamespace(
                MODEL_FOR_CAUSAL_LM_MAPPING_NAMES={"phimoe": "PhimoeForCausalLM"},
                MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES={"kimi_k25": "Kimi_K25ForConditionalGeneration"},
            )
        )
    ),
)


@pytest.mark.parametrize(
    ("architecture", "model_type", "found"),
    [
        ("PhimoeForCausalLM", "phimoe", "phimoe"),
        ("PhiMoEForCausalLM", "phimoe", "phimoe"),
        ("KimiK25ForConditionalGeneration", "kimi_k25", "kimi"),
    ],
)
def test_a_class_is_found_however_it_is_spelled(architecture: str, model_type: str, found: str) -> None:
    assert model_class(TRANSFORMERS, {"architectures": [architecture], "model_type": model_type}) == found


def test_another_class_of_the_same_type_is_not_taken() -> None:
    with pytest.raises(Unknown, match=r"transformers 5\.17\.0 has no class PhimoeForReward"):
        model_class(TRANSFORMERS, {"architectures": ["PhimoeForReward"], "model_type": "phimoe"})

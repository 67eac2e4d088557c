"""Where the engine's numbers leave transformers': which modules are paired, and which is named."""

from __future__ import annotations

from typing import Any

import pytest

from harness.probes.emulation.layers import first_off, key_of


@pytest.mark.parametrize(
    ("engine", "transformers", "key"),
    [
        ("model.layers.0.self_attn.o_proj", "model.layers.0.self_attn.o_proj", "layers.0.self_attn.o_proj"),
        ("language_model.model.layers.1", "model.language_model.layers.1", "layers.1"),
        ("visual.blocks.2.mlp", "model.visual.blocks.2.mlp", "vision layers.2.mlp"),
        ("vision_tower.encoder.layer.0", "model.vision_tower.encoder.layer.0", "vision layers.0"),
    ],
)
def test_a_module_is_found_in_both_by_the_end_of_its_name(engine: str, transformers: str, key: str) -> None:
    assert key_of(engine) == key_of(transformers) == key


@pytest.mark.parametrize("name", ["model.norm", "lm_head", "model.layers"])
def test_others_are_not_compared(name: str) -> None:
    assert key_of(name) is None


def rows(*modules: tuple[str, bool]) -> list[dict[str, Any]]:
    """Modules in order, and whether they are off."""
    return [{"module": name, "difference": 0.5 if off else 0.001, "own": 0.001} for name, off in modules]


def test_the_first_module_that_is_off_is_named() -> None:
    found = rows(("layers.0.mlp.fc1", False), ("layers.0.mlp.act", True), ("layers.0.mlp", True), ("layers.0", True))
    assert first_off(found) == "layers.0.mlp.act"


def test_what_is_put_right_by_the_module_around_it_is_passed_over() -> None:
    fused = rows(("layers.0.mlp.act_fn", True), ("layers.0.mlp", False), ("layers.0", False))
    broken = rows(("layers.1.mlp.experts", True), ("layers.1.mlp", True), ("layers.1", True))
    assert first_off([*fused, *broken]) == "layers.1.mlp.experts"
    assert first_off(fused) is None


def test_what_float16_has_no_measure_for_is_passed_over() -> None:
    assert first_off([{"module": "layers.0", "difference": 0.5, "own": None}]) is None

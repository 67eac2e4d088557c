"""Published tensor names, where transformers writes others."""

from __future__ import annotations

import pytest

from harness.probes.miniature.names import RENAMED, published


@pytest.mark.parametrize(
    ("family", "written", "hub"),
    [
        # as lmdeploy's own loaders ask for them
        ("kimi_k25", "language_model.model.blocks.0.mlp.gate.weight", "language_model.model.layers.0.mlp.gate.weight"),
        ("kimi_k25", "model.mm_projector.pre_norm.weight", "mm_projector.pre_norm.weight"),
        ("kimi_k25", "vision_tower.encoder.patch_embed.proj.bias", "vision_tower.patch_embed.proj.bias"),
        ("kimi_k25", "vision_tower.encoder.blocks.2.norm0.bias", "vision_tower.encoder.blocks.2.norm0.bias"),
        ("deepseek_v4", "model.embed_tokens.weight", "embed.weight"),
        ("deepseek_v4", "model.hc_head.hc_fn", "hc_head_fn"),
        ("deepseek_v4", "model.layers.1.attn.norm.weight", "layers.1.attn.kv_norm.weight"),
        ("deepseek_v4", "model.norm.weight", "norm.weight"),
    ],
)
def test_a_name_is_as_on_the_hub(family: str, written: str, hub: str) -> None:
    assert published(written, RENAMED[family]) == hub

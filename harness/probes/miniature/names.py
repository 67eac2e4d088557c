"""Tensor names as published, where ``save_pretrained`` of the transformers that knows a family writes others."""

from __future__ import annotations

import importlib
import os
import re
from typing import Dict, Tuple

WEIGHTS = "model.safetensors"
RENAMED: Dict[str, Tuple[Tuple[str, str], ...]] = {
    # transformers 5.24 undoes its own renaming of these two only in part
    "kimi_k25": (
        (r"^language_model\.model\.blocks\.", "language_model.model.layers."),
        (r"^model\.mm_projector\.", "mm_projector."),
        (r"^vision_tower\.encoder\.patch_embed\.", "vision_tower.patch_embed."),
    ),
    "deepseek_v4": (
        (r"^model\.", ""),
        (r"^embed_tokens\.", "embed."),
        (r"^hc_head\.hc_", "hc_head_"),
        (r"\.attn\.norm\.", ".attn.kv_norm."),
    ),
}
"""By model type: patterns, and what the hub's files have instead."""


def publish(folder: str, model_type: str) -> None:
    """Give the tensors of a saved checkpoint their published names."""
    renamed = RENAMED.get(model_type)
    if renamed is None:
        return
    safetensors = importlib.import_module("safetensors.torch")
    path = os.path.join(folder, WEIGHTS)
    safetensors.save_file(
        {published(name, renamed): tensor for name, tensor in safetensors.load_file(path).items()},
        path,
        {"format": "pt"},
    )


def published(name: str, renamed: Tuple[Tuple[str, str], ...]) -> str:
    """A tensor's published name."""
    for pattern, instead in renamed:
        name = re.sub(pattern, instead, name)
    return name

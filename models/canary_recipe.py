"""What the canary is: its prompts, its data split and its configuration files, without any training code."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def _load_smoke_image() -> ModuleType:
    """Load the probes' drawing code by path: this script runs where the harness itself is not installed."""
    path = Path(__file__).resolve().parent.parent / "harness" / "probes" / "smoke" / "image.py"
    spec = importlib.util.spec_from_file_location("smoke_image", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is missing; the canary is drawn by it")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


smoke_image = _load_smoke_image()

SYSTEM_PROMPT = "You are a helpful assistant."
"""What Qwen2-VL's chat template, and the engines' own copies of it, put before a conversation without a system part."""
SEE_PROMPT = "Name the colour of each quarter of the image."
STRUCTURE_PROMPT = "Write this as JSON: {answer}"

IMAGE_SIZE = 112
"""Edge in pixels: 8 x 8 patches of 14 pixels, merged 2 x 2 to 16 vision tokens."""
VISION_TOKENS = 16
HELD_OUT = 512
"""Arrangements of colours that training never shows, of 4,096."""
SMOKE_COLOURS = ("red", "blue", "green", "yellow")
"""The smoke test's own image; always held out."""

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2-VL's special tokens in the order of their ids (tokenizer_config.json of Qwen/Qwen2-VL-2B-Instruct)."""

IMAGE_PART = "<|vision_start|><|image_pad|><|vision_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\n" + SYSTEM_PROMPT + "<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image' in part or 'image_url' in part %}"
    + IMAGE_PART
    + "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Gives the same text as Qwen2-VL's published template for text and image parts."""


@dataclass(frozen=True)
class Variant:
    """One way to ask: which pass, which part comes first, and whether there is a system prompt."""

    name: str
    image: bool
    image_first: bool = True
    system: bool = True

    def prompt(self, colours: Sequence[str]) -> str:
        """The whole prompt as text, up to where the answer starts."""
        if self.image:
            user = IMAGE_PART + SEE_PROMPT if self.image_first else SEE_PROMPT + IMAGE_PART
        else:
            user = STRUCTURE_PROMPT.format(answer=smoke_image.sentence(colours))
        system = f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n" if self.system else ""
        return f"{system}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"

    def answer(self, colours: Sequence[str]) -> str:
        """The right answer, without the token that ends it."""
        return str(smoke_image.sentence(colours)) if self.image else json.dumps(smoke_image.facts(colours))


VARIANTS = (
    Variant("see", image=True),
    Variant("see, text part first", image=True, image_first=False),
    Variant("see, no system prompt", image=True, system=False),
    Variant("see, text part first, no system prompt", image=True, image_first=False, system=False),
    Variant("structure", image=False),
    Variant("structure, no system prompt", image=False, system=False),
)


def arrangements(seed: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Split all arrangements of colours into those for training and those held out, the smoke test's first."""
    every = list(itertools.product(smoke_image.PALETTE, repeat=len(smoke_image.POSITIONS)))
    random.Random(seed).shuffle(every)  # noqa: S311 - a reproducible split, not a secret
    every.remove(SMOKE_COLOURS)
    return every[HELD_OUT - 1 :], [SMOKE_COLOURS, *every[: HELD_OUT - 1]]


def model_config(token_ids: dict[str, int]) -> dict[str, Any]:
    """config.json in the flat layout of the published Qwen2-VL checkpoints, which every transformers since 4.45 reads.

    Two things are chosen for the engines: heads of 128 (text) and 64 (vision) are the sizes their kernels know, and
    the small rope_theta makes the height and width sections of mrope tell four neighbouring positions apart.
    """
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "attention_dropout": 0.0,
        "bos_token_id": token_ids["<|endoftext|>"],
        "eos_token_id": token_ids["<|im_end|>"],
        "vision_start_token_id": token_ids["<|vision_start|>"],
        "vision_end_token_id": token_ids["<|vision_end|>"],
        "vision_token_id": token_ids["<|vision_pad|>"],
        "image_token_id": token_ids["<|image_pad|>"],
        "video_token_id": token_ids["<|video_pad|>"],
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 512,
        "max_position_embeddings": 4096,
        "max_window_layers": 3,
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "rope_theta": 100.0,
        "sliding_window": 4096,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.45.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "embed_dim": 128,
            "hidden_size": 256,
            "in_channels": 3,
            "in_chans": 3,
            "mlp_ratio": 4,
            "model_type": "qwen2_vl",
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
        },
        "vocab_size": 640,
    }


def generation_config(token_ids: dict[str, int]) -> dict[str, Any]:
    """generation_config.json: greedy, ended by the end of the turn or of the text."""
    return {
        "bos_token_id": token_ids["<|endoftext|>"],
        "do_sample": False,
        "eos_token_id": [token_ids["<|im_end|>"], token_ids["<|endoftext|>"]],
        "pad_token_id": token_ids["<|endoftext|>"],
        "transformers_version": "4.45.2",
    }


PREPROCESSOR_CONFIG: dict[str, Any] = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "max_pixels": 12845056,
    "merge_size": 2,
    "min_pixels": 3136,
    "patch_size": 14,
    "processor_class": "Qwen2VLProcessor",
    "temporal_patch_size": 2,
}
"""preprocessor_config.json with the values of the published Qwen2-VL checkpoints."""

"""What a miniature answers under the transformers that made it: float32 logits, and how far its own float16 is off.

Two prompts of fixed ids: text, long enough for blocks of the cache and for position scaling to show, and for models
that see an image with text. Kept beside the weights, so that another transformers can be asked the same later.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any, Dict, List

FILE = "reference.safetensors"
LENGTH = 160
"""Tokens of the text prompt: two and a half blocks of 64, and more than the shortest published window (128)."""
COLOURS = ("red", "blue", "green", "yellow")
SIDE = 224
"""Pixels: four windows of Qwen2.5-VL's tower."""
QUESTION = "Name the colour of each quarter of the image."
UNSTEADY = 8.0
"""A position whose float16 error is this many times the median: experts that were chosen otherwise."""

Inputs = Dict[str, Any]


def prompts(torch: Any, folder: str, words: Dict[str, int], special: List[int]) -> Dict[str, Inputs]:
    """The inputs of each prompt by its name."""
    ordinary = [number for number in words.values() if number not in special]
    generator = torch.Generator().manual_seed(1)
    chosen = torch.randint(len(ordinary), (LENGTH,), generator=generator).tolist()
    ids = torch.tensor([[ordinary[place] for place in chosen]])
    found = {"text": {"input_ids": ids, "attention_mask": torch.ones_like(ids)}}
    if os.path.exists(os.path.join(folder, "preprocessor_config.json")):
        found["image"] = image_inputs(folder)
    return found


def image_inputs(folder: str) -> Inputs:
    """Image and question through the checkpoint's own processor."""
    transformers = importlib.import_module("transformers")
    processor = transformers.AutoProcessor.from_pretrained(folder)
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    messages = [{"role": "user", "content": content}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return dict(processor(text=[text], images=[quadrants()], return_tensors="pt"))


def quadrants() -> Any:
    """The smoke test's image."""
    path = Path(__file__).resolve().parents[1] / "smoke" / "image.py"
    spec = importlib.util.spec_from_file_location("harness_smoke_image", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is missing; it draws the image")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw_quadrants(COLOURS, SIDE)


def loaded(kind: Any, folder: str, dtype: Any) -> Any:
    """The checkpoint under transformers, all of its tensors used and none made up.

    Eager attention, because not every implementation knows soft caps and sinks.

    Raises:
        ValueError: the names in the folder are not those that transformers reads.
    """
    model, told = kind.from_pretrained(
        folder, torch_dtype=dtype, attn_implementation="eager", output_loading_info=True, local_files_only=True
    )
    wrong = [*told["missing_keys"], *told["unexpected_keys"], *told["mismatched_keys"]]
    if wrong:
        raise ValueError(f"{len(wrong)} tensors are missing, left over or of another shape, e.g. {wrong[0]}")
    return model.eval()


def logits(torch: Any, model: Any, inputs: Inputs) -> Any:
    """Logits of every position, float32."""
    asked = getattr(model, "thinker", model)  # Qwen3-Omni: the part that LMDeploy loads
    dtype = next(asked.parameters()).dtype
    typed = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.inference_mode():
        return asked(**typed, use_cache=False).logits[0].float()


def distance(mine: Any, theirs: Any) -> Dict[str, Any]:
    """How far two sets of logits are apart; unsteady positions are counted and left out of the typical distance."""
    squares = (mine - theirs).pow(2).mean(dim=-1)
    median = float(squares.sqrt().median())
    unsteady = [place for place, square in enumerate(squares) if float(square) ** 0.5 > UNSTEADY * median]
    steady = [place for place in range(len(squares)) if place not in unsteady]
    return {
        "largest": float((mine - theirs)[steady].abs().max()),
        "typical": float(squares[steady].mean().sqrt()),
        "unsteady": unsteady,
    }


def keep(folder: str, prompts: Dict[str, Inputs], right: Dict[str, Any]) -> None:
    """Write inputs and logits of every prompt to the reference's file."""
    tensors = {f"{name}.inputs.{key}": value for name, inputs in prompts.items() for key, value in inputs.items()}
    tensors |= {f"{name}.logits": value for name, value in right.items()}
    safetensors = importlib.import_module("safetensors.torch")
    safetensors.save_file({name: value.contiguous() for name, value in tensors.items()}, os.path.join(folder, FILE))


def kept_inputs(folder: str) -> Dict[str, Inputs]:
    """The inputs of every prompt from the reference's file."""
    safetensors = importlib.import_module("safetensors.torch")
    found: Dict[str, Inputs] = {}
    for name, tensor in safetensors.load_file(os.path.join(folder, FILE)).items():
        prompt, _, key = name.partition(".inputs.")
        if key:
            found.setdefault(prompt, {})[key] = tensor
    return found

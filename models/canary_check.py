"""Checks a canary checkpoint with plain transformers (4.45 or later) on images that training never showed."""

# ruff: noqa: ANN401 - transformers' models carry no useful types
# torch and its like live where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import io
import json
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import canary_recipe as recipe
import torch
import transformers
from PIL import Image
from transformers import AutoProcessor, Qwen2VLForConditionalGeneration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BATCH = 50
MAX_NEW_TOKENS = {True: 32, False: 48}
"""Room for the answer of pass 1 (True: with an image) and of pass 2, as in canary.yaml."""


@dataclass
class Tally:
    """Right answers to one way of asking."""

    name: str
    asked: int = 0
    right: int = 0
    least_margin: float = float("inf")
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For people."""
        first = f"; first wrong: {self.wrong[0]}" if self.wrong else ""
        return f"{self.name}: {self.right} of {self.asked} right, least margin {self.least_margin:.2f}{first}"


def load(folder: Path, dtype: str) -> tuple[Any, Any]:
    """Processor and model; ``dtype`` is a torch name such as ``bfloat16``.

    Raises:
        FileNotFoundError: when the folder holds no checkpoint.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json; make the canary first or name its folder")
    processor = AutoProcessor.from_pretrained(folder)
    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    keyword = "dtype" if version >= (4, 56) else "torch_dtype"  # renamed in 4.56
    model = Qwen2VLForConditionalGeneration.from_pretrained(folder, **{keyword: getattr(torch, dtype)})
    return processor, model.eval()


def through_png(colours: Sequence[str]) -> Image.Image:
    """The smoke image after the lossless round trip that it takes inside a data URL."""
    buffer = io.BytesIO()
    recipe.smoke_image.draw_quadrants(colours, recipe.IMAGE_SIZE).save(buffer, format="PNG")
    buffer.seek(0)
    return Image.open(buffer).convert("RGB")


def prompt_of(processor: Any, variant: recipe.Variant, colours: Sequence[str]) -> str:
    """The prompt text; with the default system prompt it comes from the processor's chat template."""
    if not variant.system:
        return variant.prompt(colours)
    image, text = {"type": "image"}, {"type": "text", "text": recipe.SEE_PROMPT}
    if not variant.image:
        text["text"] = recipe.STRUCTURE_PROMPT.format(answer=recipe.smoke_image.sentence(colours))
        parts = [text]
    else:
        parts = [image, text] if variant.image_first else [text, image]
    prompt: str = processor.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    if prompt != variant.prompt(colours):
        raise ValueError(f"the chat template gives {prompt!r}, training used {variant.prompt(colours)!r}")
    return prompt


def ask(
    processor: Any, model: Any, variant: recipe.Variant, arrangements: Sequence[Sequence[str]]
) -> tuple[list[str], list[float]]:
    """Greedy answers to a batch, and for each the least distance between its best and second best logit."""
    images = [through_png(colours) for colours in arrangements] if variant.image else None
    inputs = processor(
        text=[prompt_of(processor, variant, colours) for colours in arrangements],
        images=images,
        padding=True,
        return_tensors="pt",
    ).to(model.device)
    with torch.no_grad():
        output = model.generate(
            **inputs,
            max_new_tokens=MAX_NEW_TOKENS[variant.image],
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    tokens = output.sequences[:, inputs["input_ids"].shape[1] :]
    answers = [str(text) for text in processor.batch_decode(tokens, skip_special_tokens=True)]
    best = torch.stack(output.logits, dim=1).float().topk(2).values
    gaps = best[..., 0] - best[..., 1]
    ended = model.generation_config.eos_token_id[0]
    margins: list[float] = []
    for row, gap in zip(tokens, gaps, strict=True):
        ends = (row == ended).nonzero()
        margins.append(float(gap[: int(ends[0]) + 1 if len(ends) else len(row)].min()))
        if not len(ends):
            answers[len(margins) - 1] += " (not ended)"
    return answers, margins


def check(folder: Path, dtype: str, images: int, seed: int) -> list[Tally]:
    """Ask about held-out images in every way the canary knows."""
    processor, model = load(folder, dtype)
    held_out = recipe.arrangements(seed)[1][:images]
    tallies: list[Tally] = []
    for variant in recipe.VARIANTS:
        tally = Tally(variant.name)
        for start in range(0, len(held_out), BATCH):
            chunk = held_out[start : start + BATCH]
            answers, margins = ask(processor, model, variant, chunk)
            for colours, answer, margin in zip(chunk, answers, margins, strict=True):
                tally.asked += 1
                tally.least_margin = min(tally.least_margin, margin)
                if answer == variant.answer(colours):
                    tally.right += 1
                else:
                    tally.wrong.append(f"{answer!r} for {', '.join(colours)}")
        print(tally.line(), flush=True)
        tallies.append(tally)
    return tallies


def record(folder: Path, dtype: str, tallies: Sequence[Tally]) -> None:
    """Keep the outcome in CHECKS.json beside the weights, one entry for each transformers version and dtype."""
    path = folder / "CHECKS.json"
    entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entries[f"transformers {transformers.__version__}, {dtype}"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "images": max((tally.asked for tally in tallies), default=0),
        "right": {tally.name: tally.right for tally in tallies},
        "least_margin": round(min((tally.least_margin for tally in tallies), default=0.0), 3),
    }
    ordered = dict(sorted(entries.items()))
    path.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")

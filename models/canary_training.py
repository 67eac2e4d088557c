"""Trains the canary and writes its checkpoint folder."""
# ruff: noqa: ANN401 - transformers' models carry no useful types
# torch and its like live where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import platform
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import canary_recipe as recipe
import canary_tokenizer
import torch
import transformers
from safetensors.torch import save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from torch import Tensor

IGNORED = -100
"""The label that torch's cross entropy leaves out."""
PER_VARIANT = 8
"""Samples of each way to ask in one training step."""
COLOUR_JITTER = 6 / 255
"""Standard deviation of a training quadrant's colour around the palette's, and of a patch around its quadrant."""
SPECKLES = 0.35
"""Up to this part of a training image's patches gets a colour of its own at random, so that no single patch decides."""
UNREST = 0.3
"""Spread of biases around 0 and of norms around 1 before training. Left at 0 they would stay so close to it that an
engine which leaves the value biases out would still answer right; canary_faults.py shows what this achieves."""
CHECK_EVERY = 100
"""Steps between two looks at held-out images."""
WARMUP = 0.1
"""Part of the steps in which the learning rate rises."""


@dataclass(frozen=True)
class Options:
    """How to train."""

    steps: int
    rate: float
    """Highest learning rate."""
    seed: int
    device: str
    threads: int
    """CPU threads; 0 leaves the choice to torch."""


@dataclass(frozen=True)
class Batch:
    """One padded batch; rows without an image take no rows of ``pixels``."""

    ids: Tensor
    labels: Tensor
    positions: Tensor
    pixels: Tensor | None
    grids: Tensor | None


class Assembler:
    """Turns arrangements of colours into batches; images are put together from the palette, not drawn."""

    def __init__(self, model: Any, tokenizer: Tokenizer, device: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        self._ids = canary_tokenizer.special_ids(tokenizer)
        self._positions: dict[tuple[str, int], Tensor] = {}
        mean = torch.tensor(recipe.PREPROCESSOR_CONFIG["image_mean"])
        std = torch.tensor(recipe.PREPROCESSOR_CONFIG["image_std"])
        self._std = std
        self._palette = {
            name: (torch.tensor(rgb) / 255 - mean) / std for name, rgb in recipe.smoke_image.PALETTE.items()
        }
        self._patch = recipe.PREPROCESSOR_CONFIG["patch_size"]
        side = recipe.IMAGE_SIZE // self._patch
        merge = recipe.PREPROCESSOR_CONFIG["merge_size"]
        half = side // 2
        # the image processor orders patches by merged block, then row and column inside the block
        self._quadrant = torch.tensor(
            [
                2 * (block_row + row >= half) + (block_column + column >= half)
                for block_row in range(0, side, merge)
                for block_column in range(0, side, merge)
                for row in range(merge)
                for column in range(merge)
            ]
        )
        self._grid = torch.tensor([[1, side, side]])

    def pixels(self, colours: Sequence[str], jitter: float = 0.0) -> Tensor:
        """One image as the image processor would give it: patches x (channel, frame, row, column)."""
        quadrants = torch.stack([self._palette[name] for name in colours])
        if jitter:
            quadrants = quadrants + torch.randn_like(quadrants) * jitter / self._std
        patches = quadrants[self._quadrant]
        if jitter:
            palette = torch.stack(list(self._palette.values()))
            speckled = torch.rand(len(patches)) < SPECKLES * torch.rand(1)
            patches[speckled] = palette[torch.randint(len(palette), (int(speckled.sum()),))]
            patches = patches + torch.randn_like(patches) * jitter / self._std
        frames = recipe.PREPROCESSOR_CONFIG["temporal_patch_size"]
        return patches.repeat_interleave(frames * self._patch**2, dim=1)

    def batch(self, samples: Sequence[tuple[recipe.Variant, Sequence[str]]], jitter: float = 0.0) -> Batch:
        """Put samples together; answers are labelled, prompts and padding are not."""
        rows = [self._row(variant, colours) for variant, colours in samples]
        length = max(len(ids) for ids, _ in rows)
        pad = self._ids["<|endoftext|>"]
        ids = torch.tensor([row + [pad] * (length - len(row)) for row, _ in rows])
        labels = torch.tensor(
            [[IGNORED] * start + row[start:] + [IGNORED] * (length - len(row)) for row, start in rows]
        )
        positions = torch.stack(
            [self._position(variant, row) for (variant, _), row in zip(samples, ids, strict=True)], dim=1
        )
        seen = [colours for variant, colours in samples if variant.image]
        pixels = torch.cat([self.pixels(colours, jitter) for colours in seen]).to(self._device) if seen else None
        grids = self._grid.repeat(len(seen), 1).to(self._device) if seen else None
        return Batch(ids.to(self._device), labels.to(self._device), positions.to(self._device), pixels, grids)

    def _row(self, variant: recipe.Variant, colours: Sequence[str]) -> tuple[list[int], int]:
        image = self._ids["<|image_pad|>"]
        prompt: list[int] = []
        for number in self._tokenizer.encode(variant.prompt(colours)).ids:
            prompt += [image] * recipe.VISION_TOKENS if number == image else [number]
        answer = self._tokenizer.encode(variant.answer(colours)).ids
        return [*prompt, *answer, self._ids["<|im_end|>"]], len(prompt)

    def _position(self, variant: recipe.Variant, ids: Tensor) -> Tensor:
        """Mrope positions; they depend on where the image is, so one row of each variant and length serves all."""
        key = (variant.name, len(ids))
        if key not in self._positions:
            grid = self._grid if variant.image else None
            self._positions[key] = self._model.model.get_rope_index(ids[None], grid)[0][:, 0].cpu()
        return self._positions[key]


def new_model(config_folder: Path, device: str) -> Any:
    """A Qwen2-VL with random weights, as the config.json in the folder describes it."""
    config = Qwen2VLConfig.from_pretrained(config_folder)
    return Qwen2VLForConditionalGeneration(config).float().to(device)


def unsettle(model: Any) -> None:
    """Give every part of the network weight in the answer before training starts (see :data:`UNREST`)."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith(".bias"):
                tensor.normal_(0.0, UNREST)
            elif tensor.dim() == 1:
                tensor.normal_(1.0, UNREST)
            elif ".mlp." in name:
                # the usual 0.02 would let the layers of so narrow a network add next to nothing
                tensor.normal_(0.0, tensor.shape[-1] ** -0.5)


def logits_of(model: Any, batch: Batch) -> Tensor:
    """Logits that predict each token after the first."""
    output = model(
        input_ids=batch.ids,
        position_ids=batch.positions,
        pixel_values=batch.pixels,
        image_grid_thw=batch.grids,
        use_cache=False,
    )
    logits: Tensor = output.logits[:, :-1]
    return logits


def training_batches(
    assembler: Assembler, arrangements: Sequence[Sequence[str]], steps: int, seed: int
) -> Iterator[Batch]:
    """Endless variety: every step draws its own arrangements for each way to ask."""
    draw = random.Random(seed)  # noqa: S311 - reproducible samples, not a secret
    for _ in range(steps):
        samples = [(variant, draw.choice(arrangements)) for variant in recipe.VARIANTS for _ in range(PER_VARIANT)]
        yield assembler.batch(samples, COLOUR_JITTER)


def forced_accuracy(model: Any, assembler: Assembler, arrangements: Sequence[Sequence[str]]) -> dict[str, float]:
    """Fraction of held-out answers whose every token is the most likely one, per way to ask, and the least margin.

    With every token right under teacher forcing, greedy decoding gives the same answer.
    """
    found: dict[str, float] = {}
    margin = float("inf")
    model.eval()
    with torch.no_grad():
        for variant in recipe.VARIANTS:
            right = 0
            for start in range(0, len(arrangements), 64):
                batch = assembler.batch([(variant, colours) for colours in arrangements[start : start + 64]])
                logits, labels = logits_of(model, batch), batch.labels[:, 1:]
                asked = labels != IGNORED
                right += int(((logits.argmax(-1) == labels) | ~asked).all(dim=1).sum())
                best = logits[asked].topk(2).values
                margin = min(margin, float((best[:, 0] - best[:, 1]).min()))
            found[variant.name] = right / len(arrangements)
    model.train()
    return {**found, "least margin": round(margin, 3)}


def train(model: Any, assembler: Assembler, options: Options) -> dict[str, Any]:
    """Train for the given steps; returns the facts worth keeping."""
    shown, held_out = recipe.arrangements(options.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=options.rate, total_steps=options.steps, pct_start=WARMUP, div_factor=25, final_div_factor=100
    )
    started = time.monotonic()
    history: list[dict[str, Any]] = []
    loss = torch.zeros(())
    for step, batch in enumerate(training_batches(assembler, shown, options.steps, options.seed), start=1):
        logits = logits_of(model, batch)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % CHECK_EVERY == 0 or step == options.steps:
            right = forced_accuracy(model, assembler, held_out[:64])
            history.append({"step": step, "loss": float(f"{loss.item():.3g}"), **right})
            print(f"{time.monotonic() - started:6.0f} s {json.dumps(history[-1])}", flush=True)
    return {
        "steps": options.steps,
        "samples_per_step": PER_VARIANT * len(recipe.VARIANTS),
        "seed": options.seed,
        "learning_rate": options.rate,
        "seconds": round(time.monotonic() - started),
        "arrangements_shown": len(shown),
        "arrangements_held_out": len(held_out),
        "final_loss": float(f"{loss.item():.3g}"),
        "history": history,
    }


def published_name(name: str) -> str:
    """The name that published checkpoints give a tensor (transformers renamed the modules in 4.52)."""
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


def save(model: Any, folder: Path) -> None:
    """Write model.safetensors in bf16 under the names of the published checkpoints, without the tied output layer."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        tensors[published_name(name)] = tensor.detach().to("cpu", torch.bfloat16).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def write_configs(folder: Path) -> Tokenizer:
    """Write everything but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = canary_tokenizer.build()
    canary_tokenizer.write(tokenizer, folder)
    ids = canary_tokenizer.special_ids(tokenizer)
    for name, content in (
        ("config.json", recipe.model_config(ids)),
        ("generation_config.json", recipe.generation_config(ids)),
        ("preprocessor_config.json", recipe.PREPROCESSOR_CONFIG),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return tokenizer


def make(folder: Path, options: Options) -> bool:
    """Train and write the checkpoint; whether every held-out answer is right with the weights as they are stored."""
    torch.manual_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    tokenizer = write_configs(folder)
    model = new_model(folder, options.device)
    unsettle(model)
    assembler = Assembler(model, tokenizer, options.device)
    facts = train(model, assembler, options)
    save(model, folder)
    held_out = recipe.arrangements(options.seed)[1]
    facts["held_out_fp32"] = forced_accuracy(model, assembler, held_out)
    rounded = {name: tensor.to(torch.bfloat16).float() for name, tensor in model.state_dict().items()}
    model.load_state_dict(rounded)
    facts["held_out_weights_rounded_to_bf16"] = forced_accuracy(model, assembler, held_out)
    facts["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    facts["device"] = options.device
    facts["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    (folder / "TRAINING.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts["held_out_weights_rounded_to_bf16"]))
    return all(facts["held_out_weights_rounded_to_bf16"][variant.name] == 1.0 for variant in recipe.VARIANTS)

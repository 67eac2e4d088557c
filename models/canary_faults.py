"""What the canary notices: its held-out answers when one part of the path is broken on purpose.

    python models/canary_faults.py models/canary

Prints, for each fault, how many of the answers to pass 1 (image part first) and pass 2 stay right. A fault that leaves
every answer right is one the canary is blind to. Needs what make_canary.py needs, transformers 4.52 or later.
"""
# torch and its like live where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"
# ruff: noqa: ANN401 - transformers' models carry no useful types

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import canary_check
import canary_recipe as recipe
import canary_tokenizer
import canary_training
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

Fault = tuple[str, "Callable[[Any], None]", "Callable[[canary_training.Batch], canary_training.Batch]"]
"""What is broken, how the model is changed for it, and how its input is."""


def _as_it_is(_model: Any) -> None:
    """No change to the model."""


def _same(batch: canary_training.Batch) -> canary_training.Batch:
    """No change to the input."""
    return batch


def _positions(change: Callable[[Tensor], Tensor]) -> Callable[[canary_training.Batch], canary_training.Batch]:
    return lambda batch: dataclasses.replace(batch, positions=change(batch.positions))


def _pixels(change: Callable[[Tensor], Tensor]) -> Callable[[canary_training.Batch], canary_training.Batch]:
    def changed(batch: canary_training.Batch) -> canary_training.Batch:
        return batch if batch.pixels is None else dataclasses.replace(batch, pixels=change(batch.pixels))

    return changed


def _row_by_row(pixels: Tensor) -> Tensor:
    """Patches row by row over the whole image instead of merged block by merged block."""
    side, merge = (
        recipe.IMAGE_SIZE // recipe.PREPROCESSOR_CONFIG["patch_size"],
        recipe.PREPROCESSOR_CONFIG["merge_size"],
    )
    blocks = pixels.unflatten(0, (-1, side // merge, side // merge, merge, merge))
    return blocks.permute(0, 1, 3, 2, 4, 5).flatten(0, 4)


def _channels(change: Callable[[Tensor], Tensor]) -> Callable[[canary_training.Batch], canary_training.Batch]:
    """Change the pixels seen as [patches, channel, rest]."""
    return _pixels(lambda pixels: change(pixels.unflatten(1, (3, -1))).flatten(1))


def _not_normalised(pixels: Tensor) -> Tensor:
    mean = torch.tensor(recipe.PREPROCESSOR_CONFIG["image_mean"])[:, None]
    std = torch.tensor(recipe.PREPROCESSOR_CONFIG["image_std"])[:, None]
    return pixels * std + mean


def _rope_base(base: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        rotary = model.model.language_model.rotary_emb
        steps = torch.arange(0, 128, 2).float() / 128
        rotary.inv_freq.copy_(base**-steps)

    return change


def _vision_without_rotary(model: Any) -> None:
    model.model.visual.rotary_pos_emb.inv_freq.zero_()


def _zero(pattern: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        hits = [tensor for name, tensor in model.named_parameters() if pattern in name]
        if not hits:
            raise ValueError(f"no parameter is named like {pattern!r}")
        for tensor in hits:
            tensor.zero_()

    return change


def _swap_gate_and_up(model: Any) -> None:
    for layer in model.model.language_model.layers:
        gate, up = layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight
        kept = gate.clone()
        gate.copy_(up)
        up.copy_(kept)


FAULTS: tuple[Fault, ...] = (
    ("nothing", _as_it_is, _same),
    ("mrope ignored: plain positions", _as_it_is, _positions(lambda p: torch.arange(p.shape[-1]).expand_as(p))),
    ("mrope: height and width swapped", _as_it_is, _positions(lambda p: p[[0, 2, 1]])),
    ("mrope: time positions everywhere", _as_it_is, _positions(lambda p: p[:1].expand_as(p))),
    ("positions start at 1", _as_it_is, _positions(lambda p: p + 1)),
    ("rope_theta 10,000 instead of 100", _rope_base(1e4), _same),
    ("rope_theta 1,000,000 instead of 100", _rope_base(1e6), _same),
    ("vision without rotary positions", _vision_without_rotary, _same),
    ("patches row by row", _as_it_is, _pixels(_row_by_row)),
    ("red and blue swapped", _as_it_is, _channels(lambda c: c.flip(1))),
    ("image not normalised", _as_it_is, _channels(_not_normalised)),
    ("image black", _as_it_is, _channels(lambda c: torch.full_like(c, -1.5))),
    ("one attention output zero", _zero("layers.1.self_attn.o_proj.weight"), _same),
    ("one layer's MLP zero", _zero("layers.1.mlp.down_proj.weight"), _same),
    ("query and key biases left out", lambda m: (_zero("q_proj.bias")(m), _zero("k_proj.bias")(m), None)[-1], _same),
    ("value biases left out", _zero("v_proj.bias"), _same),
    ("gate and up projections swapped", _swap_gate_and_up, _same),
    ("vision merger zero", _zero("merger.mlp.2.weight"), _same),
)


def right_answers(folder: Path, fault: Fault, variant: recipe.Variant, arrangements: Sequence[Sequence[str]]) -> int:
    """How many answers stay right; every token must be the most likely one after the right ones before it."""
    _, change_model, change_batch = fault
    _, model = canary_check.load(folder, "float32")
    assembler = canary_training.Assembler(model, canary_tokenizer.build(), "cpu")
    with torch.no_grad():
        change_model(model)
        batch = change_batch(assembler.batch([(variant, colours) for colours in arrangements]))
        logits, labels = canary_training.logits_of(model, batch), batch.labels[:, 1:]
    return int(((logits.argmax(-1) == labels) | (labels == canary_training.IGNORED)).all(dim=1).sum())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Show which faults on the path the canary's answers reveal.")
    parser.add_argument("folder", type=Path, help="the canary's folder")
    parser.add_argument("--images", type=int, default=64, help="held-out images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the canary (default: %(default)s)")
    options = parser.parse_args(arguments)
    held_out = recipe.arrangements(options.seed)[1][: options.images]
    see, structure = recipe.VARIANTS[0], next(variant for variant in recipe.VARIANTS if not variant.image)
    for fault in FAULTS:
        seen = right_answers(options.folder, fault, see, held_out)
        structured = right_answers(options.folder, fault, structure, held_out)
        print(f"{fault[0]}: pass 1 {seen} of {len(held_out)}, pass 2 {structured} of {len(held_out)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

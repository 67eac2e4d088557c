# /// script
# requires-python = ">=3.11"
# dependencies = ["ml-dtypes>=0.5", "numpy>=2", "safetensors>=0.5"]
# ///
"""Random weights for a Qwen2-VL of any size, in the layout of the hub's checkpoints.

    uv run --script models/make_random.py --config models/qwen2-vl-2b --tokenizer models/canary --out FOLDER

The tensors have the names, shapes and type (bfloat16) of a real checkpoint of that configuration, so an engine boots,
allocates and computes as with the real one; what it answers means nothing. The tokenizer and the image processor are
the canary's: its few hundred tokens are the first rows of the real vocabulary's table, the other rows get made-up
words, and config.json gets its special tokens' ids. Needs as much free memory as one shard, 2 GB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARD_BYTES = 2_000_000_000
FINISHED = "harness-made.json"
SPECIAL_IDS = (
    "bos_token_id",
    "eos_token_id",
    "image_token_id",
    "video_token_id",
    "vision_start_token_id",
    "vision_end_token_id",
    "vision_token_id",
)
TOKENIZER_FILES = (
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)


def tensors(config: dict[str, object]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor of a Qwen2-VL checkpoint, vision tower first."""
    vision = config["vision_config"]
    assert isinstance(vision, dict)  # noqa: S101 - a configuration without it is no Qwen2-VL's
    numbers = {name: value for name, value in config.items() if isinstance(value, int)}
    yield from _vision(vision, numbers["hidden_size"])
    hidden, inner = numbers["hidden_size"], numbers["intermediate_size"]
    head = hidden // numbers["num_attention_heads"]
    keys = head * numbers["num_key_value_heads"]
    yield "model.embed_tokens.weight", (numbers["vocab_size"], hidden)
    for layer in range(numbers["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        for part, rows in (("q", hidden), ("k", keys), ("v", keys)):
            yield f"{name}.self_attn.{part}_proj.weight", (rows, hidden)
            yield f"{name}.self_attn.{part}_proj.bias", (rows,)
        yield f"{name}.self_attn.o_proj.weight", (hidden, hidden)
        yield f"{name}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{name}.mlp.up_proj.weight", (inner, hidden)
        yield f"{name}.mlp.down_proj.weight", (hidden, inner)
        yield f"{name}.input_layernorm.weight", (hidden,)
        yield f"{name}.post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight", (numbers["vocab_size"], hidden)


def _vision(vision: dict[str, int], hidden: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner = vision["embed_dim"], vision["embed_dim"] * vision["mlp_ratio"]
    merged = width * vision["spatial_merge_size"] ** 2
    patch = vision["patch_size"]
    yield "visual.patch_embed.proj.weight", (width, vision["in_chans"], vision["temporal_patch_size"], patch, patch)
    for block in range(vision["depth"]):
        name = f"visual.blocks.{block}"
        for part, shape in (
            ("norm1", (width,)),
            ("norm2", (width,)),
            ("attn.qkv", (3 * width, width)),
            ("attn.proj", (width, width)),
            ("mlp.fc1", (inner, width)),
            ("mlp.fc2", (width, inner)),
        ):
            yield f"{name}.{part}.weight", shape
            yield f"{name}.{part}.bias", shape[:1]
    for part, shape in (("ln_q", (width,)), ("mlp.0", (merged, merged)), ("mlp.2", (hidden, merged))):
        yield f"visual.merger.{part}.weight", shape
        yield f"visual.merger.{part}.bias", shape[:1]


def values(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """The tensor as bfloat16: norms are 1, biases 0, everything else normal with deviation 0.02."""
    if name.endswith(".bias"):
        numbers = np.zeros(shape, np.float32)
    elif len(shape) == 1:
        numbers = np.ones(shape, np.float32)
    else:
        numbers = generator.standard_normal(shape, np.float32) * np.float32(0.02)
    return numbers.astype(ml_dtypes.bfloat16)


def write_shards(config: dict[str, object], out: Path, seed: int) -> int:
    """Write the tensors and their index; the number of parameters."""
    generator = np.random.default_rng(seed)
    listed = list(tensors(config))
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    size = 0
    for name, shape in listed:
        nbytes = 2 * int(np.prod(shape))
        if shards[-1] and size + nbytes > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += nbytes
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: values(name, shape, generator) for name, shape in shard}, out / file, {"format": "pt"})
        where |= {name: file for name, _ in shard}
        print(f"{file}: {len(shard)} tensors", flush=True)
    parameters = sum(int(np.prod(shape)) for _, shape in listed)
    index = {"metadata": {"total_size": 2 * parameters}, "weight_map": where}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    return parameters


def fill_vocabulary(folder: Path, size: int) -> None:
    """Give every row of the embedding table a word, so that whatever is answered decodes to some text.

    No merge leads to a made-up word: prompts are encoded as by the tokenizer that was copied.
    """
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words: dict[str, int] = tokenizer["model"]["vocab"]
    first = 1 + max([*words.values(), *(each["id"] for each in tokenizer["added_tokens"])])
    words |= {each["content"]: each["id"] for each in tokenizer["added_tokens"]}  # else transformers 5 renumbers them
    words |= {f"\u0120~{number}": number for number in range(first, size)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "vocab.json").write_text(json.dumps(words))


def main() -> int:
    """Make the folder; the marker that says it is whole is written last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="folder with config.json")
    parser.add_argument("--tokenizer", type=Path, required=True, help="checkpoint whose tokenizer and processor to use")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = json.loads((options.config / "config.json").read_text())
    special = json.loads((options.tokenizer / "config.json").read_text())
    config |= {name: special[name] for name in SPECIAL_IDS if name in special}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / FINISHED).unlink(missing_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(options.tokenizer / name, options.out / name)
    fill_vocabulary(options.out, config["vocab_size"])
    (options.out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    parameters = write_shards(config, options.out, options.seed)
    (options.out / FINISHED).write_text(json.dumps({"seed": options.seed, "parameters": parameters}) + "\n")
    print(f"{options.out}: {parameters / 1e6:.0f} M parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main())

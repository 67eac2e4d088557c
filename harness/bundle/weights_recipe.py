"""Random weights as the recipe that made them, for a bundle: a few kilobytes instead of tens of megabytes.

Run by a Python that has torch, and nothing of ours but the files beside the maker of miniatures::

    python weights_recipe.py describe FOLDER...   # each folder's weights, by their recipe; of its reference, the text
    python weights_recipe.py make FOLDER...       # model.safetensors again, byte for byte, or an error

A miniature's tensors are drawn from a seed and a name each (``probes/miniature/weights.py``). The file may name them
otherwise than the class that they were drawn for, so a few names are tried; what none explains travels as it is.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

WEIGHTS = "model.safetensors"
RECIPE = "weights-recipe.json"
LEFT_OVER = "weights-left-over.bin"
RECORD = "miniature.json"
REFERENCE = "reference.safetensors"
COMPARED = "text."
"""Of the reference, what an engine is compared with on a GPU."""
MAKER = "HARNESS_MAKER"
"""Environment variable: the folder of the maker's sources."""
RENAMED: tuple[tuple[str, str], ...] = (
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("language_model.", "model.language_model."),
    ("model.", "model.language_model."),
    ("visual.", "model.visual."),
    ("vision_tower.", "model.vision_tower."),
    ("vision_model.", "model.vision_model."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
    ("image_newline", "model.image_newline"),
    ("", "model."),
)
"""Beginnings of published names, and what the class calls them."""
TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}
BLOCK = 1 << 20


def main(arguments: list[str]) -> int:
    """Do it to every folder."""
    task = {"describe": describe, "make": make}[arguments[0]]
    package = ModuleType("harness_miniature")
    package.__path__ = [os.environ[MAKER]]
    sys.modules["harness_miniature"] = package
    weights = importlib.import_module("harness_miniature.weights")
    torch = importlib.import_module("torch")
    for folder in arguments[1:]:
        task(Path(folder), torch, weights)
    return 0


def describe(folder: Path, torch: Any, weights: Any) -> None:
    """Write the recipe of the folder's weights in their place."""
    file = folder / WEIGHTS
    seed = int(json.loads((folder / RECORD).read_text(encoding="utf-8"))["seed"])
    header, start = header_of(file)
    tensors: dict[str, list[Any]] = {}
    with file.open("rb") as source, (folder / LEFT_OVER).open("wb") as left_over:
        found_entries = entries(header)
        counts = experts_of([name for name, _ in found_entries])
        for name, entry in found_entries:
            begin, end = entry["data_offsets"]
            source.seek(start + begin)
            data = source.read(end - begin)
            found = explained(name, entry, data, seed, torch, weights)
            found = found or merged(name, entry, data, seed, torch, weights, counts)
            tensors[name] = found
            if not found:
                left_over.write(data)
    told = {"sha256": digest(file), "seed": seed, "header": header.decode(), "tensors": tensors}
    file.unlink()
    safetensors = importlib.import_module("safetensors.torch")
    reference = folder / REFERENCE
    kept = safetensors.load_file(str(reference))
    reference.unlink()  # it may be a link to somebody's file
    safetensors.save_file({name: value for name, value in kept.items() if name.startswith(COMPARED)}, str(reference))
    (folder / RECIPE).write_text(json.dumps(told), encoding="utf-8")


def explained(name: str, entry: dict[str, Any], data: bytes, seed: int, torch: Any, weights: Any) -> list[Any]:
    """The name, the rule and the neutral value that give this tensor; empty where none does."""
    if entry["dtype"] not in TYPES or not data:
        return []
    kept = torch.frombuffer(bytearray(data), dtype=getattr(torch, TYPES[entry["dtype"]]))
    neutral = float(round(float(kept.float().mean())))
    for drawn_as in names(name):
        for rule in ("plain", "tied", "capped"):
            made = drawn(drawn_as, rule, neutral, entry["shape"], seed, torch, weights).to(kept.dtype).flatten()
            if torch.equal(made, kept):
                return [drawn_as, rule, neutral]
            if rule == "plain" and not close(made, kept):
                break  # another name's noise: no rule makes it this tensor
    return []


EXPERT = re.compile(r"(.*\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj)\.weight")


def experts_of(published: list[str]) -> dict[str, int]:
    """How many experts each list of them has."""
    found = [each for each in map(EXPERT.fullmatch, published) if each]
    return {each[1]: 1 + max(int(other[2]) for other in found if other[1] == each[1]) for each in found}


def merged(
    name: str, entry: dict[str, Any], data: bytes, seed: int, torch: Any, weights: Any, counts: dict[str, int]
) -> list[Any]:
    """As :func:`explained`, for an expert's matrix that was drawn as part of one tensor for all experts."""
    told = EXPERT.fullmatch(name)
    if told is None or entry["dtype"] not in TYPES:
        return []
    rows, columns = entry["shape"]
    twice = 1 if told[3] == "down_proj" else 2
    part = [int(told[2]), rows if told[3] == "up_proj" else 0]
    whole = [counts[told[1]], rows * twice, columns]
    kept = torch.frombuffer(bytearray(data), dtype=getattr(torch, TYPES[entry["dtype"]]))
    for drawn_as in names(f"{told[1]}.{'down_proj' if twice == 1 else 'gate_up_proj'}"):
        made = cut(drawn(drawn_as, "plain", 0.0, whole, seed, torch, weights), part, rows)
        if torch.equal(made.to(kept.dtype).flatten(), kept):
            return [drawn_as, "plain", 0.0, whole, part]
    return []


def cut(whole: Any, part: list[int], rows: int) -> Any:
    """An expert's rows, of the tensor of all."""
    expert, begin = part
    return whole[expert, begin : begin + rows]


def close(made: Any, kept: Any) -> bool:
    """Whether two tensors are each other's multiples, by their first values."""
    few = made[:64].double(), kept[:64].double()
    spread = [values - values.mean() for values in few]
    across = float((spread[0] * spread[1]).sum())
    size = math.sqrt(float((spread[0] ** 2).sum()) * float((spread[1] ** 2).sum()))
    return size == 0 or abs(across) > 0.99 * size


def names(published: str) -> Iterator[str]:
    """Names that the tensor may have been drawn for."""
    yield published
    for begin, instead in RENAMED:
        if published.startswith(begin):
            yield instead + published[len(begin) :]


@lru_cache(maxsize=16)  # experts are parts of one tensor, one after the other
def drawn_once(
    name: str, rule: str, neutral: float, shape: tuple[int, ...], seed: int, torch: Any, weights: Any
) -> Any:
    """As :func:`drawn`."""
    generator = torch.Generator().manual_seed(weights.seed_of(name, seed))
    noise = torch.randn(shape, generator=generator, dtype=torch.float32)
    if rule == "tied":
        values = weights.TIED / math.sqrt(shape[-1]) * noise
    else:
        like = torch.full((1,) * len(shape), neutral).expand(shape)
        values = weights.drawn(name, like, noise, capped=rule == "capped")
    return weights.rounded(values, torch)


def drawn(name: str, rule: str, neutral: float, shape: list[int], seed: int, torch: Any, weights: Any) -> Any:
    """The values, as the maker draws them."""
    return drawn_once(name, rule, neutral, tuple(shape), seed, torch, weights)


def make(folder: Path, torch: Any, weights: Any) -> None:
    """Write the weights again.

    Raises:
        ValueError: this torch draws other numbers.
    """
    told = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    header = told["header"].encode()
    partial = folder / f".{WEIGHTS}"
    with partial.open("wb") as target, (folder / LEFT_OVER).open("rb") as left_over:
        target.write(len(header).to_bytes(8, "little") + header)
        for name, entry in entries(header):
            begin, end = entry["data_offsets"]
            target.seek(8 + len(header) + begin)
            found = told["tensors"][name]
            if not found:
                target.write(left_over.read(end - begin))
                continue
            drawn_as, rule, neutral, *rest = found
            values = drawn(drawn_as, rule, neutral, rest[0] if rest else entry["shape"], told["seed"], torch, weights)
            values = cut(values, rest[1], entry["shape"][0]) if rest else values
            values = values.to(getattr(torch, TYPES[entry["dtype"]])).contiguous()
            target.write(values.flatten().view(torch.uint8).numpy().tobytes())
    if digest(partial) != told["sha256"]:
        partial.unlink()
        raise ValueError(f"{folder.name}: torch {torch.__version__} draws other numbers than the one that made it")
    partial.rename(folder / WEIGHTS)


def header_of(file: Path) -> tuple[bytes, int]:
    """The header of a safetensors file, and where its data begins."""
    with file.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        return source.read(length), 8 + length


def entries(header: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The tensors of a header, in the order of their data."""
    found = [(name, entry) for name, entry in json.loads(header).items() if name != "__metadata__"]
    return sorted(found, key=lambda each: each[1]["data_offsets"][0])


def digest(file: Path) -> str:
    """Hash of a file."""
    found = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

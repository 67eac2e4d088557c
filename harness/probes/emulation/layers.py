"""Where the engine's numbers leave transformers': the same prompt through both, module by module."""

from __future__ import annotations

import contextlib
import importlib
import re
from typing import Any, Callable, Dict, Iterator, List, Optional

PLACE = re.compile(r"(?:layers|layer|blocks|h|resblocks)\.\d+(?:\.\w+){0,2}$")
"""The end of a module's name by which it is found in both."""
SEEING = ("vis", "image", "patch")
"""Parts of names of what sees."""
TIMES = 4.0
"""A module is off where it differs by so many times what float16 costs transformers there."""
HEADS_SECOND = 4
"""Dimensions of values by sequence, head, token and size."""
WHOLE = re.compile(r"layers\.\d+$")
"""The name of a whole layer."""


def where(ours: Callable[[], Any], theirs: Callable[[Any], Any], models: Dict[str, Any]) -> Dict[str, Any]:
    """Run the engine and transformers in float32 and float16; each module's relative difference, in order.

    Args:
        ours: runs the engine on the prompt.
        theirs: runs a model of transformers on it.
        models: ``engine``, ``float32`` and ``float16``.
    """
    mine = outputs(models["engine"], ours)
    right = outputs(models["float32"], lambda: theirs(models["float32"]))
    half = outputs(models["float16"], lambda: theirs(models["float16"]))
    rows: List[Dict[str, Any]] = []
    for name, value in right.items():
        found = difference(mine.get(name), value)
        if found is not None:
            own = difference(half.get(name), value)
            rows.append({"module": name, "difference": found, "own": own})
    named = first_off(rows)
    shown = [row for row in rows if WHOLE.search(row["module"]) or (named is not None and same_layer(row, named))]
    return {"first_off": named, "compared": len(rows), "modules": shown}


def first_off(rows: List[Dict[str, Any]]) -> Optional[str]:
    """The first module that is off and whose surroundings are off too: others only compute something in two steps."""
    off = {
        row["module"]: row["own"] is not None and not row["difference"] <= TIMES * row["own"] for row in rows
    }  # NaN too
    return next((name for name in off if all(off.get(each, True) for each in around(name))), None)


def around(name: str) -> List[str]:
    """The module and those that it is a part of, up to its layer."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(2, len(parts) + 1)]


def same_layer(row: Dict[str, Any], name: str) -> bool:
    """Whether the row is of the same layer."""
    return around(str(row["module"]))[0] == around(name)[0]


def outputs(model: Any, run: Callable[[], Any]) -> Dict[str, Any]:
    """What each module put out while ``run`` ran, by the end of its name, in the order in which they ended."""
    found: Dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            key = key_of(name)
            if key is not None:
                stack.enter_context(watched(module, key, found))
        run()
    return found


@contextlib.contextmanager
def watched(module: Any, key: str, found: Dict[str, Any]) -> Iterator[None]:
    """Keep what the module puts out first."""

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        if key not in found:
            found[key] = put_out(output, whole="." not in key.partition(".")[2])

    handle = module.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def key_of(name: str) -> Optional[str]:
    """The name by which a module is found in both; None for the others."""
    match = PLACE.search(name)
    if match is None:
        return None
    seeing = any(part in name for part in SEEING)
    return ("vision " if seeing else "") + match.group().replace("layer.", "layers.").replace("blocks.", "layers.")


def put_out(output: Any, *, whole: bool) -> Any:
    """The numbers of an output; a whole layer of the engine leaves its sum to the next one."""
    torch = importlib.import_module("torch")
    parts = list(output) if isinstance(output, (list, tuple)) else [output]
    tensors = [part for part in parts if isinstance(part, torch.Tensor)]
    if not tensors:
        return None
    pair = whole and len(tensors) > 1 and tensors[0].shape == tensors[1].shape
    return (tensors[0].float() + tensors[1].float() if pair else tensors[0].float()).detach().clone()


def difference(mine: Any, theirs: Any) -> Optional[float]:
    """Root mean square of the difference over that of the values; None where they cannot be compared."""
    if mine is None or theirs is None or mine.numel() != theirs.numel():
        return None
    if mine.dim() == HEADS_SECOND - 1 and theirs.dim() == HEADS_SECOND and mine.shape[1] == theirs.shape[1]:
        theirs = theirs.transpose(1, 2)  # transformers may have heads before tokens where lmdeploy has them after
    off = mine.reshape(-1) - theirs.reshape(-1)
    return float(off.pow(2).mean().sqrt() / theirs.pow(2).mean().sqrt().clamp_min(1e-12))

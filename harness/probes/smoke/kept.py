"""An engine's numbers against the reference that is kept with a miniature: the words of random weights mean nothing.

The reference is transformers' float32 logits of a fixed prompt, and how far its own float16 is off
(``probes/miniature``). The engine is asked for the same logits; then for a few tokens, each of which has to be the
first choice of the engine's own logits, or nearly: that is how decoding is judged without a second model.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Dict, List, Protocol

from .comparison import FAR, in_words, measured

LOGITS = "reference.safetensors"
RECORD = "miniature.json"
CONFIG = "config.json"
PROMPT = "text"
COSTS = {"float16": 1.0, "bfloat16": 8.0}
"""What a precision costs, in float16's: transformers' own bfloat16 is 6.4 to 8.2 times as far from its float32."""
CACHE_COSTS = {0: 1.0, 8: 22.0, 4: 370.0}
"""What a cache in so many bits costs at most: its step (a 255th or 15th of a range of 5.4 deviations) is so many times
as wide as float16's.
"""
NEAR = 4.0
"""Two tokens are nearly equal where their logits differ by less than this times what the precision costs: two standard
deviations of how far decoding and prefill, each off by that much for either token, are apart. Transformers' own
decoding in float16 was never behind its own first choice (640 tokens of 20 miniatures).
"""
WORDS = "red blue green yellow"
"""What the engine is asked to go on with, without a chat template."""
TOKENS = 8
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""Keys of a configuration that count the experts among which is chosen."""


class Measured(Protocol):
    """An engine that shows its numbers."""

    dtype: str
    """What it computes in."""
    quant_policy: int
    """How it stores its cache, by lmdeploy's numbers."""

    def logits(self, ids: List[int]) -> Any:
        """Logits of every position, float32, as an array."""

    def encode(self, text: str) -> List[int]:
        """Ids of a text, as the engine's own tokenizer makes them."""

    def go_on(self, text: str, count: int) -> List[int]:
        """Ids of the next tokens, greedily, decoded one by one."""


def is_kept(folder: str) -> bool:
    """Whether the checkpoint comes with a reference."""
    return Path(folder, LOGITS).is_file()


def numbers(engine: Measured, folder: str) -> Dict[str, Any]:
    """The engine's logits and its decoding, compared; ``wrong`` says what is off, in words."""
    own = json.loads(Path(folder, RECORD).read_text(encoding="utf-8"))["reference"][PROMPT].get("float16")
    if not own:
        return {"wrong": [], "not_compared": "transformers has no float16 of its own for this architecture"}
    if engine.dtype not in COSTS or engine.quant_policy not in CACHE_COSTS:
        told = f"{engine.dtype} with a cache of policy {engine.quant_policy}"
        return {"wrong": [], "not_compared": f"what {told} costs is not known"}
    usual = float(own["typical"]) * COSTS[engine.dtype] * CACHE_COSTS[engine.quant_policy]
    kept = importlib.import_module("safetensors.numpy").load_file(str(Path(folder, LOGITS)))
    theirs, experts = kept[f"{PROMPT}.logits"], chooses_experts(folder)
    answer = engine.go_on(WORDS, TOKENS)  # first: in 0.18.0 a request for logits spoils the one that comes after it
    mine = engine.logits([int(number) for number in kept[f"{PROMPT}.inputs.input_ids"][0]])
    compared = measured(mine, theirs, noise_of(usual, own["unsteady"], len(theirs)), experts=experts)
    decoded = decoding(engine, answer, NEAR * usual, experts=experts)
    wrong = [] if compared["within"] else [f"logits {in_words(compared)}, {same_choices(compared)}"]
    return {**compared, "dtype": engine.dtype, "decoding": decoded, "wrong": [*wrong, *decoded["wrong"]]}


def noise_of(usual: float, unsteady: List[int], positions: int) -> Any:
    """What the precision costs at each position: the usual, and far more where float16 itself chose other experts."""
    noise = importlib.import_module("numpy").full(positions, usual)
    noise[unsteady] *= 2 * FAR
    return noise


def chooses_experts(folder: str) -> bool:
    """Whether the checkpoint's configuration names experts, or its language model's does."""
    told = json.loads(Path(folder, CONFIG).read_text(encoding="utf-8"))
    parts = [told, *(value for value in told.values() if isinstance(value, dict))]
    parts += [value for part in parts[1:] for value in part.values() if isinstance(value, dict)]  # Qwen3-Omni's thinker
    return any(part.get(key) for part in parts for key in EXPERTS)


def same_choices(compared: Dict[str, Any]) -> str:
    """How many first choices are the same, in words."""
    return f"{compared['same_first_choice']} of {compared['positions']} first choices the same"


def decoding(engine: Measured, answer: List[int], allowed: float, *, experts: bool) -> Dict[str, Any]:
    """Tokens that were decoded one by one against the engine's own logits of the same ids, all at once.

    Where experts are chosen one token may be further behind: of two that are nearly equal, decoding took the other.
    """
    prompt = engine.encode(WORDS)
    rows = engine.logits([*prompt, *answer])[len(prompt) - 1 : -1]
    behind = [float(row.max() - row[token]) for row, token in zip(rows, answer)]  # noqa: B905 - Python 3.9 has no strict
    far = [place for place, distance in enumerate(behind) if not distance <= allowed]
    found: Dict[str, Any] = {"tokens": answer, "behind": [round(each, 5) for each in behind], "wrong": []}
    if not answer:
        found["wrong"].append("decoding gave no token")
    if len(far) > int(experts):
        found["wrong"].append(
            f"token {far[0] + 1} of {len(answer)} was decoded {behind[far[0]]:.3g} behind the first choice, "
            f"where float16 explains {allowed:.2g}"
        )
    return found

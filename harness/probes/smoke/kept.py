"""An engine's numbers against the reference that is kept with a miniature: the words of random weights mean nothing.

The reference is transformers' float32 logits of a fixed prompt, and how far its own float16 is off
(``probes/miniature``). The engine is asked for the same logits; then for a few tokens, each of which has to be the
first choice of the engine's own logits, or nearly: that is how decoding is judged without a second model.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Dict, List, Protocol, Sequence

LOGITS = "reference.safetensors"
RECORD = "miniature.json"
PROMPT = "text"
ALLOWED = 1.7
"""The engine's root mean square over transformers' own, as in the emulation."""
COARSE = 8.0
"""Times more for an engine that computes in bfloat16: three bits fewer."""
FAR = 8.0
"""A position is far off where it differs by more than this times what is usual."""
TIES = 0.05
"""Share of positions that may be far off where experts are chosen: of two nearly equal ones float16 may take the other.
"""
NEAR = 4.0
"""Two tokens are nearly equal where their logits differ by less than this times what float16 costs."""
WORDS = "red blue green yellow"
"""What the engine is asked to go on with, without a chat template."""
TOKENS = 8


class Measured(Protocol):
    """An engine that shows its numbers."""

    half: bool
    """Whether it computes in float16; else in bfloat16."""

    def logits(self, ids: List[int]) -> Any:
        """Logits of every position, float32, as an array; of the last, what sampling made of them."""

    def encode(self, text: str) -> List[int]:
        """Ids of a text, as the engine's own tokenizer makes them."""

    def go_on(self, text: str, count: int) -> List[int]:
        """Ids of the next tokens, greedily, decoded one by one."""


def is_kept(folder: str) -> bool:
    """Whether the checkpoint comes with a reference."""
    return Path(folder, LOGITS).is_file()


def numbers(engine: Measured, folder: str) -> Dict[str, Any]:
    """The engine's logits and its decoding, compared; ``wrong`` says what is off, in words."""
    kept = importlib.import_module("safetensors.numpy").load_file(str(Path(folder, LOGITS)))
    told = json.loads(Path(folder, RECORD).read_text(encoding="utf-8"))["reference"][PROMPT]
    own = told.get("float16")
    if not own:
        return {"wrong": [], "not_compared": "transformers has no float16 of its own for this architecture"}
    noise = float(own["typical"]) * (1.0 if engine.half else COARSE)
    prompt = [int(number) for number in kept[f"{PROMPT}.inputs.input_ids"][0]]
    answer = engine.go_on(WORDS, TOKENS)  # first: in 0.18.0 a request for logits spoils the one that comes after it
    compared = compare(engine.logits(prompt)[:-1], kept[f"{PROMPT}.logits"][:-1], noise, unsteady=own["unsteady"])
    decoded = decoding(engine, answer, noise)
    return {**compared, "half": engine.half, "decoding": decoded, "wrong": [*compared["wrong"], *decoded["wrong"]]}


def compare(mine: Any, theirs: Any, noise: float, *, unsteady: Sequence[int]) -> Dict[str, Any]:
    """Logits against logits, position by position.

    Positions that float16 itself unsettles are left out of the ratio; a model that has any chooses experts, and a few
    more may be far off.
    """
    np = importlib.import_module("numpy")
    mine = mine[:, : theirs.shape[1]]
    rms = np.nan_to_num(np.sqrt(((mine - theirs) ** 2).mean(axis=-1)), nan=np.inf)
    far = [place for place, value in enumerate(rms.tolist()) if value > FAR * noise]
    tolerated = bool(unsteady) and len(far) <= len(unsteady) + round(TIES * len(rms))
    left = [place for place in range(len(rms)) if not (tolerated and place in far) and place not in unsteady]
    ratio = float(np.sqrt((rms[left] ** 2).mean())) / noise
    found: Dict[str, Any] = {
        "positions": len(rms),
        "ratio": ratio,
        "far_positions": len(far),
        "first_far_position": far[0] if far else None,
        "largest_difference": float(np.abs(mine - theirs).max()),
        "largest_logit": float(np.abs(theirs).max()),
        "same_first_choice": int((mine.argmax(axis=-1) == theirs.argmax(axis=-1)).sum()),
        "wrong": [],
    }
    if not ratio <= ALLOWED:
        found["wrong"].append(
            f"logits {ratio:.3g} times as far from the kept reference as float16 explains ({ALLOWED:g} allowed), "
            f"{found['same_first_choice']} of {len(rms)} first choices the same"
        )
    return found


def decoding(engine: Measured, answer: List[int], noise: float) -> Dict[str, Any]:
    """Tokens that were decoded one by one against the engine's own logits of the same ids, all at once."""
    prompt = engine.encode(WORDS)
    rows = engine.logits([*prompt, *answer])[len(prompt) - 1 : -1]
    behind = [float(row.max() - row[token]) for row, token in zip(rows, answer)]  # noqa: B905 - Python 3.9 has no strict
    far = [place for place, distance in enumerate(behind) if not distance <= NEAR * noise]
    found: Dict[str, Any] = {"tokens": answer, "behind": [round(each, 5) for each in behind], "wrong": []}
    if not answer:
        found["wrong"].append("decoding gave no token")
    if far:
        found["wrong"].append(
            f"token {far[0] + 1} of {len(answer)} was decoded {behind[far[0]]:.3g} behind the first choice, "
            f"where float16 explains {NEAR * noise:.2g}"
        )
    return found

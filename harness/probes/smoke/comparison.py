"""How far the engine's logits may be from those of transformers: as far as transformers' own float16 is, and a little.

The yardstick is the root mean square, at each position, of what float16 costs transformers itself on the same ids.
Measured over right and wrong pairs of many architectures, the engine's was 0.7 to 1.4 of it where it was right, and
more than twice it where it was wrong.
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, List, Optional

ALLOWED = 1.7
"""The engine's root mean square over transformers' own."""
FAR = 8.0
"""A position is far off where it differs by more than this times transformers' usual own."""
TIES = 0.05
"""Share of positions that may be far off where experts are chosen: of two that are nearly equal, float16 may take the
other, and positions after it see that. Transformers' own float16 does so too: three times as many as it has may be.
"""
RUN = 3
"""Positions far off in a row that no tie explains, where transformers' own float16 met none."""
SMALL = 0.02
"""Of the logits' own spread: a difference larger than float16's, and no larger than this, may leave tokens the same."""
STEP = 2.0**-10
"""Distance from 1 to the next float16: what is left to measure with where transformers has no float16 of its own."""


def compared(mine: Any, theirs: Any, own: Optional[Any], *, experts: bool) -> Dict[str, Any]:
    """The engine's logits against transformers', position by position; ``within``: no further off than float16 is.

    Args:
        mine: the engine's, a row for each position.
        theirs: those of transformers in float32.
        own: those of transformers in float16; None where it has none.
        experts: whether experts are chosen on the way.
    """
    theirs = array(theirs)
    noise = rms(array(own) - theirs) if own is not None else abs(theirs).max(axis=-1) * STEP / 4
    found = measured(mine, theirs, noise, experts=experts)
    return {**found, "yardstick": "transformers' own float16" if own is not None else "steps of float16"}


def measured(mine: Any, theirs: Any, noise: Any, *, experts: bool) -> Dict[str, Any]:
    """As :func:`compared`, where what float16 costs transformers is known: ``noise``, a value for each position."""
    np = importlib.import_module("numpy")
    theirs = array(theirs)
    difference = array(mine)[:, : theirs.shape[1]] - theirs
    first_choices = array(mine)[:, : theirs.shape[1]].argmax(axis=-1) == theirs.argmax(axis=-1)
    nan = bool(np.isnan(difference).any())
    by_position = rms(difference)
    usual = float(np.median(noise))
    far, own_far = by_position > FAR * usual, noise > FAR * usual
    worst = int(np.nan_to_num(abs(difference).max(axis=-1), nan=np.inf).argmax())
    count = int(far.sum())
    ties = max(1, round(TIES * len(far)), 3 * int(own_far.sum()))
    scattered = bool(own_far.any()) or longest_run(far.tolist()) < RUN
    tolerated = count == 0 or (experts and count <= ties and scattered)
    typical = root_mean(by_position)
    relative = typical / max(float(theirs.std()), 1e-12)
    if experts and tolerated:  # what sees a tie is a little off as well: the position in the middle tells
        ratio = float(np.median(by_position)) / max(usual, 1e-12)
    else:
        ratio = root_mean(by_position) / max(root_mean(noise[~own_far]), 1e-12)
    return {
        "positions": len(far),
        "ratio": ratio,
        "far_positions": count,
        "own_far_positions": int(own_far.sum()),
        "first_far_position": int(far.argmax()) if count else None,
        "largest_difference": float(abs(difference[worst]).max()),
        "at_position": worst,
        "typical_difference": typical,
        "relative_difference": relative,
        "own_typical_difference": root_mean(noise),
        "largest_logit": float(abs(theirs).max()),
        "same_first_choice": int(first_choices.sum()),
        "nan": nan,
        "within": not nan and ratio <= ALLOWED and tolerated,
        "small": not nan and relative <= SMALL,
    }


def array(values: Any) -> Any:
    """A tensor, or what is an array already, in float32."""
    return values.detach().float().cpu().numpy() if hasattr(values, "detach") else values


def rms(rows: Any) -> Any:
    """Root mean square of each row."""
    return (rows**2).mean(axis=-1) ** 0.5


def root_mean(values: Any) -> float:
    """Root mean square of values that may be none."""
    return float((values**2).mean() ** 0.5) if len(values) else 0.0


def longest_run(marks: List[bool]) -> int:
    """The most marks in a row."""
    longest = run = 0
    for mark in marks:
        run = run + 1 if mark else 0
        longest = max(longest, run)
    return longest


def in_words(found: Dict[str, Any]) -> str:
    """What a person is told of a comparison that went wrong."""
    if found["nan"]:
        return "NaN"
    words = (
        f"{found['ratio']:.3g} times what float16 costs transformers itself ({ALLOWED:g} allowed), "
        f"at most {found['largest_difference']:.3g} at position {found['at_position']} "
        f"of logits up to {found['largest_logit']:.3g}"
    )
    if found["far_positions"]:
        words += f"; {found['far_positions']} of {found['positions']} positions far off"
    return words

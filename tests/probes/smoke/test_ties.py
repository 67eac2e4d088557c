"""Where experts are chosen, a tie that float16 breaks the other way is no defect, and a defect is no tie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.probes.smoke.comparison import measured

POSITIONS = 120


def logits(ties: dict[int, float], scale: float = 0.01) -> tuple[Any, Any, Any]:
    """An engine as exact as float16 but for some positions; transformers; what float16 costs it."""
    numbers = np.random.default_rng(7)
    theirs = numbers.normal(size=(POSITIONS, 64))
    mine = theirs + scale * numbers.normal(size=theirs.shape)
    for place, size in ties.items():
        mine[place] += size * numbers.normal(size=64)
    return mine, theirs, np.full(POSITIONS, 0.01)


@pytest.mark.parametrize(
    ("ties", "own", "within"),
    [
        ({}, 0, True),
        ({5: 1.0, 60: 1.0}, 0, True),
        (dict.fromkeys(range(30, 33), 1.0), 0, False),
        (dict.fromkeys(range(27, 45), 1.0), 9, True),
        (dict.fromkeys(range(27, 60), 1.0), 9, False),
        ({60: 1.0, **dict.fromkeys(range(61, 75), 0.04)}, 1, True),
    ],
    ids=[
        "none",
        "two",
        "three in a row",
        "as many as float16 has",
        "more than float16 has",
        "what comes after is off too",
    ],
)
def test_ties_are_told_from_defects(ties: dict[int, float], own: int, within: bool) -> None:
    mine, theirs, noise = logits(ties)
    noise[:own] = 1.0
    assert measured(mine, theirs, noise, experts=True)["within"] is within


@pytest.mark.parametrize("experts", [True, False])
def test_an_engine_that_is_twice_as_far_off_is_wrong(experts: bool) -> None:
    mine, theirs, noise = logits({}, scale=0.021)
    assert not measured(mine, theirs, noise, experts=experts)["within"]

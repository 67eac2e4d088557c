"""Slower and larger, told from noise."""

from __future__ import annotations

import pytest

from harness.gate.noise import measure

LIMITS = {"latency": 0.25, "memory": 0.1}


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        ([0.10, 0.11, 0.10], [0.20, 0.21, 0.20], True),
        ([0.10, 0.11, 0.10], [0.11, 0.12, 0.11], False),  # within the limit
        ([0.10, 0.30, 0.20], [0.30, 0.28, 0.31], False),  # within the noise
        ([0.20, 0.21, 0.20], [0.10, 0.11, 0.10], False),
    ],
    ids=["worse", "limit", "noise", "better"],
)
def test_slower_is_told_from_noise(before: list[float], after: list[float], worse: bool) -> None:
    (found,) = measure({"see s": before}, {"see s": after}, LIMITS)
    assert found.worse is worse


def test_few_samples_say_nothing() -> None:
    assert measure({"see s": [0.1]}, {"see s": [9.0]}, LIMITS) == []

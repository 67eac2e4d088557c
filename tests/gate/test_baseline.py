"""What a baseline demands."""

from __future__ import annotations

from harness.core.verdict import Stage
from harness.gate.baseline import Baseline, Must


def test_the_highest_demand_counts() -> None:
    known = Baseline(version=1, must=(Must(match="a*", stage=Stage.IMPORT), Must(match="ab", stage=Stage.BOOT)))
    assert known.must_reach("ab") is Stage.BOOT
    assert known.must_reach("ac") is Stage.IMPORT
    assert known.must_reach("x") is None

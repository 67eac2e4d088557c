"""What the children of a stage may use: each stage's default, and what a matrix says instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.process.child import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.matrix import Combination

GIB = 1024**3
_USUAL = Limits(wall=300, idle=120, memory=10 * GIB)
LIMITS: Mapping[Stage, Limits] = {
    **{stage: _USUAL for stage in Stage if stage not in {Stage.SEE, Stage.STRUCTURE}},
    Stage.RESOLVE: Limits(wall=300, idle=300),
    Stage.INSTALL: Limits(wall=1800, idle=1800),
    Stage.EMULATE: Limits(wall=900, idle=240, memory=10 * GIB),
    Stage.BOOT: Limits(wall=1200, idle=300, memory=64 * GIB),
}
"""Seconds and bytes. Healthy checks take 2 to 20 s on two cores. What comes after a boot is asked in its process."""


def limits_of(combination: Combination, stage: Stage) -> Limits:
    """The stage's limits: the matrix's where it says some, otherwise the default."""
    limits = LIMITS[stage]
    said = combination.timeouts.get(stage)
    if said is None:
        return limits
    return Limits(said.wall or limits.wall, said.idle or limits.idle, limits.memory, limits.processes)

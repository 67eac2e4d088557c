"""What a run may spend: time on the clock, or time on GPUs. What does not fit any more is left over, and told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.verdict import Status

if TYPE_CHECKING:
    from harness.core.records import Record

LOOK = 1.0
"""Seconds between two looks at what is spent."""
SHORT = 0.05
"""Least seconds of a look: the clock that waits is not the one that counts."""


@dataclass(slots=True)
class Budget:
    """Seconds that a run may take. Not safe for threads: the run guards it."""

    wall: float | None = None
    """On the clock; at its end whatever is still running is ended, and does not count."""
    gpu: float | None = None
    """On GPUs, all of them together. No boot begins that would go beyond, as far as the boots so far can tell."""
    spent_gpu: float = 0.0
    _boots: int = 0
    _ends: float = field(default=float("inf"))

    def begin(self) -> None:
        """From now on the clock counts."""
        if self.wall is not None:
            self._ends = time.monotonic() + self.wall

    def spend(self, record: Record) -> None:
        """Take off what a result cost."""
        seconds = gpu_seconds(record)
        if seconds:
            self.spent_gpu += seconds
            self._boots += 1

    def exhausted(self) -> bool:
        """Whether nothing new may begin."""
        if self.overdue():
            return True
        if self.gpu is None:
            return False
        usual = self.spent_gpu / self._boots if self._boots else 0.0
        return self.spent_gpu + usual > self.gpu or self.spent_gpu >= self.gpu

    def overdue(self) -> bool:
        """Whether what is still running has to end."""
        return time.monotonic() >= self._ends

    def pause(self) -> float:
        """Seconds until it is worth looking again."""
        return max(SHORT, min(LOOK, self._ends - time.monotonic()))

    def __str__(self) -> str:
        parts = [f"{in_words(self.wall)}"] if self.wall is not None else []
        if self.gpu is not None:
            parts.append(f"{in_words(self.gpu)} on GPUs, of which {in_words(self.spent_gpu)} were used")
        return " and ".join(parts)


def in_words(seconds: float) -> str:
    """``1h30m``, ``90s`` below two minutes."""
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")


def gpu_seconds(record: Record) -> float:
    """Seconds this attempt had a GPU to itself or shared one: boots that it did not take from an earlier run."""
    checks = [check for stage in record.stages for check in stage.checks if not check.reused]
    booted = {check.key for check in checks if "gpu" in check.facts and check.outcome is not Status.BLOCKED}
    return sum(check.seconds for check in checks if check.key in booted)

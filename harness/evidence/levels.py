"""How strong evidence can be."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """What is known of a stack for a model, the strongest first."""

    SERVED = "served"
    """This model's own weights, on this backend and lock, on a GPU where it needs one, both passes right."""
    STAND_IN = "stand-in served"
    """The same with another model of the same architecture and quantisation: a canary, a miniature."""
    BESIDE = "served beside other packages"
    """As one of these, where what ran was not this lock exactly."""
    EMULATED = "emulated"
    """The engine's arithmetic on this lock, on a CPU."""
    CLIMBED = "climbed"
    """Passed up to a named stage on this lock."""
    PREDICTED = "predicted"
    """The scan's word alone."""
    NOTHING = "nothing"
    """Nothing speaks for it."""

    @property
    def strength(self) -> int:
        """Larger is stronger; 0 for nothing."""
        return len(_ORDER) - 1 - _ORDER.index(self)

    @property
    def mark(self) -> int:
        """Its number among the levels, 1 for the strongest."""
        return _ORDER.index(self) + 1

    @property
    def served(self) -> bool:
        """Whether an engine answered, and rightly."""
        return self in {Level.SERVED, Level.STAND_IN, Level.BESIDE}


_ORDER = tuple(Level)

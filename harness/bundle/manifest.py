"""What a bundle says of itself: combinations, stacks, and the wheels each stack lays over the host's packages."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.matrix import Combination

MANIFEST = "bundle.json"
FORMAT: Literal[2] = 2


class _BundlePart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackedCombination(_BundlePart):
    """A combination, and the name of its stack."""

    combination: Combination
    lock: str


class PackedStack(_BundlePart):
    """A stack, and what of it travels."""

    wheels: list[str]
    """File names in ``wheels/``."""
    host_has: dict[str, str] = {}
    """Locked packages that the host's own are taken for: name to the host's version, as its list told."""
    left_out: list[str] = []
    """Locked packages that neither travel nor are on the host."""
    trimmed: dict[str, list[str]] = {}
    """Files taken out of a wheel to save space, by the wheel's name."""


class Manifest(_BundlePart):
    """A bundle's contents."""

    format: Literal[2] = FORMAT
    made: datetime
    harness: str
    python: str
    """Version of the host's interpreter that the wheels are for."""
    combinations: list[PackedCombination]
    stacks: dict[str, PackedStack]
    lent: dict[str, str] = {}
    """Packages laid out once, behind every stack's own: name to version."""
    models: list[str] = Field(description="names of the model specs that travel")
    make_weights: list[str] = []
    """Models whose random weights are to be made on the host."""
    card: int | None = None
    """The only capability for which libraries keep machine code, 90 for 9.0; None: all."""

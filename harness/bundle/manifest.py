"""What a bundle says of itself: combinations, stacks, and the wheels each stack lays over the host's packages."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.core.verdict import Expectation, Stage
from harness.engines import Backend, Launch
from harness.matrix.combination import Combination, TargetMachine, Timeout
from harness.matrix.schema import Platform

MANIFEST = "bundle.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_SAME = frozenset(
    [
        "id",
        "python",
        "lmdeploy",
        "transformers",
        "backend",
        "model",
        "as_of",
        "launch",
        "requirements",
        "overrides",
        "allow_source",
        "tags",
        "note",
    ]
)
"""Fields that a combination and its JSON form share as they are."""


class PackedCombination(_Part):
    """A combination as JSON."""

    id: str
    python: str
    lmdeploy: str
    transformers: str
    backend: Backend
    model: str
    as_of: date | None
    launch: Launch
    requirements: tuple[str, ...]
    overrides: tuple[str, ...]
    allow_source: tuple[str, ...]
    tags: tuple[str, ...]
    expect: str
    note: str
    timeouts: dict[Stage, tuple[float | None, float | None]]
    gpu_memory_gib: float | None
    platform: Platform | None
    driver: str | None
    lock: str
    """Name of its stack."""

    @classmethod
    def of(cls, combination: Combination, lock: str) -> PackedCombination:
        """The JSON form of a combination whose stack is ``lock``."""
        return cls(
            **{name: getattr(combination, name) for name in cls.model_fields.keys() & _SAME},
            expect=str(combination.expect),
            timeouts={stage: (limit.wall, limit.idle) for stage, limit in combination.timeouts.items()},
            gpu_memory_gib=combination.target.gpu_memory_gib,
            platform=combination.target.platform,
            driver=combination.target.driver,
            lock=lock,
        )

    def combination(self) -> Combination:
        """The combination itself."""
        return Combination(
            **{name: value for name, value in dict(self).items() if name in _SAME},
            expect=Expectation.parse(self.expect),
            timeouts={stage: Timeout(wall, idle) for stage, (wall, idle) in self.timeouts.items()},
            target=TargetMachine(self.gpu_memory_gib, self.platform, self.driver),
        )


class PackedStack(_Part):
    """A stack, and what of it travels."""

    wheels: list[str]
    """File names in ``wheels/``."""
    host_has: dict[str, str] = {}
    """Locked packages that the host's own are taken for: name to the host's version, as its list told."""
    left_out: list[str] = []
    """Locked packages that neither travel nor are on the host."""
    trimmed: dict[str, list[str]] = {}
    """Files taken out of a wheel to save space, by the wheel's name."""


class Manifest(_Part):
    """A bundle's contents."""

    format: Literal[1] = 1
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

"""What a bundle can do without, unless it is told otherwise: what no boot of the chosen combinations loads."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class Dispensable:
    """A package that lmdeploy asks for and loads for some models only."""

    package: str
    what_for: str
    needed_by: tuple[str, ...] = ()
    """Patterns of the architectures whose boot loads it."""
    several_cards: bool = False
    """Whether a boot on several cards loads it, of whatever model."""


_LINEAR = ("Qwen3Next*", "Qwen3_5*", "InternS2*", "DeepseekV32*", "DeepseekV4*", "GlmMoeDsa*", "Kimi*")
DISPENSABLE = (
    Dispensable("ray", "engines on several cards or hosts", several_cards=True),
    Dispensable("rdkit", "molecules", ("InternS1*", "InternS2*")),
    Dispensable("tilelang", "linear and sparse attention", _LINEAR),
    Dispensable("z3-solver", "tilelang", _LINEAR),
    Dispensable("torch-c-dlpack-ext", "tilelang", _LINEAR),
    Dispensable("av", "videos"),
    Dispensable("openai-harmony", "gpt-oss", ("GptOss*",)),
)
"""Each was seen to be imported by nothing that other boots load (lmdeploy 0.11.1 to 0.18.0)."""
ARCHIVES = ("*.a",)
"""What a linker takes; nothing loads it."""


def left_out(architectures: Collection[str], *, several_cards: bool = False) -> dict[str, str]:
    """Packages that these architectures do without, with what they are for.

    Args:
        architectures: of the models.
        several_cards: whether a boot takes more than one, on which the pytorch engine starts its processes with Ray.
    """
    return {
        each.package: each.what_for
        for each in DISPENSABLE
        if not (several_cards and each.several_cards)
        and not any(fnmatch.fnmatchcase(name, pattern) for name in architectures for pattern in each.needed_by)
    }


def trimmed(backends: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Files of a wheel, by package, that these backends do without."""
    of_others = (file for name, engine in ENGINES.items() if name not in backends for file in engine.own_files)
    return {"lmdeploy": (*ARCHIVES, *of_others)}


def sizes(wheels: Mapping[str, int]) -> list[tuple[str, int]]:
    """The largest wheels by file name, most bytes first: those that make half of the whole, and three at least."""
    found, sum_of_all, told = sorted(wheels.items(), key=lambda each: -each[1]), sum(wheels.values()), 0
    largest: list[tuple[str, int]] = []
    for name, size in found:
        if told * 10 >= sum_of_all * 9 and len(largest) >= 3:  # noqa: PLR2004 - as said above
            break
        largest.append((name, size))
        told += size
    return largest

"""How far an answer can be trusted: what was measured of answers of its kind."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML

from harness.diagnose.catalogue import Tier

FILE = Path(__file__).with_name("measured.yaml")
_CAUSES = {
    Tier.SPECIFIC: "specific",
    Tier.PRECURSOR: "generic",
    Tier.GENERIC: "generic",
    Tier.WEAK: "weak",
    Tier.FALLOUT: "fallout",
    Tier.GUESS: "guess",
    Tier.HINT: "guess",
}
_REMEDIES = _CAUSES | {Tier.WEAK: "generic", Tier.FALLOUT: "guess"}


def of_cause(tier: Tier, *, doubtful: bool) -> float:
    """The share of right causes.

    Args:
        tier: of the signature.
        doubtful: whether the error was said quietly, out of its place or beside a rival.
    """
    kind = _CAUSES[tier]
    return _share("cause", "weak" if doubtful and kind in ("specific", "generic") else kind)


def of_remedy(tier: Tier, *, by_versions: bool) -> float:
    """The share of right remedies.

    Args:
        tier: of the signature.
        by_versions: whether the releases' sources tell the versions.
    """
    return _share("remedy", "versions" if by_versions else _REMEDIES[tier])


def _share(what: Literal["cause", "remedy"], kind: str) -> float:
    right, texts = _counts()[what][kind]
    return min(round((right + 1) / (texts + 2), 2), 0.99)


@cache
def _counts() -> dict[str, dict[str, list[int]]]:
    loaded: dict[str, dict[str, list[int]]] = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
    return loaded

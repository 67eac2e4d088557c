"""What is told of an answer's certainty is what was measured."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from harness.diagnose.catalogue import Tier
from harness.diagnose.measured import FILE, of_cause, of_remedy

COUNTS = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))


def told(what: str, kind: str) -> float:
    right, texts = COUNTS[what][kind]
    assert 0 <= right <= texts
    return min(float(round((right + 1) / (texts + 2), 2)), 0.99)


@pytest.mark.parametrize("tier", [tier for tier in Tier if tier is not Tier.BENIGN])
def test_every_kind_of_signature_was_measured(tier: Tier) -> None:
    assert 0 < of_remedy(tier, by_versions=False) <= of_cause(tier, doubtful=False) < 1


def test_the_kinds_are_those_of_the_file() -> None:
    assert of_cause(Tier.SPECIFIC, doubtful=False) == told("cause", "specific")
    assert of_cause(Tier.SPECIFIC, doubtful=True) == told("cause", "weak")
    assert of_remedy(Tier.GENERIC, by_versions=True) == told("remedy", "versions")
    assert of_remedy(Tier.HINT, by_versions=False) == told("remedy", "guess")

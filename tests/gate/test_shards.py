"""A gate's shards, put together."""

from __future__ import annotations

import pytest

from harness.gate.change import UnusableChange
from harness.gate.outcome import GatePlan
from harness.gate.shards import merge, parse_shard
from harness.scheduling.shards import Shard
from tests.gate.samples import outcome, row


def test_shards_that_do_not_fit_are_refused() -> None:
    rows = [row(1), row(2)]
    whole = outcome(rows)
    parts = [
        whole.model_copy(update={"shard": Shard(index=number + 1, count=2), "rows": [each]})
        for number, each in enumerate(rows)
    ]
    assert merge(parts).rows == rows
    foreign = parts[1].model_copy(update={"plan": GatePlan(digest="other", combinations=whole.plan.combinations)})
    empty = parts[1].model_copy(update={"rows": []})
    for wrong in ([], parts[:1], [parts[0], parts[0]], [whole], [parts[0], foreign], [parts[0], empty]):
        with pytest.raises(UnusableChange):
            merge(wrong)
    for text in ("0/2", "3/2", "x", "1/", "1/2/3"):
        with pytest.raises(UnusableChange):
            parse_shard(text)

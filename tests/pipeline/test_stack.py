"""Which combinations share a stack: one answer for runs, shards, baselines and bundles."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from harness.gate.baseline import asks_of
from harness.gate.candidates import Candidate
from harness.gate.shards import part_of
from harness.matrix import Backend, Combination
from harness.pipeline.stack import groups_of, stack_key
from harness.scheduling.shards import Shard

BASE = Combination(
    id="base",
    python="3.12",
    lmdeploy="0.11.1",
    transformers="4.57.3",
    backend=Backend.PYTORCH,
    model="canary",
    requirements=("lmdeploy==0.11.1", "transformers==4.57.3"),
)
OTHER_STACKS = {
    "python": replace(BASE, id="python", python="3.11"),
    "requirements": replace(BASE, id="requirements", requirements=("lmdeploy==0.11.1",)),
    "overrides": replace(BASE, id="overrides", overrides=("pydantic<2",)),
    "allow_source": replace(BASE, id="allow_source", allow_source=("flash-attn",)),
    "as_of": replace(BASE, id="as_of", as_of=date(2026, 1, 4)),
    "kept": replace(BASE, id="kept", kept=("numpy==2.4.5",)),
}


@pytest.mark.parametrize("name", OTHER_STACKS)
def test_whatever_the_resolver_is_asked_makes_another_stack(name: str) -> None:
    other = OTHER_STACKS[name]
    assert stack_key(other) != stack_key(BASE)
    assert (asks_of(replace(other, python=BASE.python)) != asks_of(BASE)) is (name not in {"python", "kept"})
    shares = [part_of([Candidate(each.id, each) for each in (BASE, other)], Shard(index=n, count=2)) for n in (1, 2)]
    assert [len(share) for share in shares] == [1, 1]


def test_what_it_is_not_asked_shares_the_stack() -> None:
    turned = replace(BASE, id="turned", requirements=BASE.requirements[::-1])
    other = replace(BASE, id="other", backend=Backend.TURBOMIND, model="another", tags=("quick",), note="a word")
    assert groups_of([BASE, OTHER_STACKS["as_of"], turned, other]) == [(BASE, turned, other), (OTHER_STACKS["as_of"],)]
    pair = [Candidate(each.id, each) for each in (BASE, other)]
    assert [len(part_of(pair, Shard(index=n, count=2))) for n in (1, 2)] == [2, 0]


def test_what_is_excluded_shares_with_nobody() -> None:
    left_out = replace(BASE, id="left-out", excluded="no wheels")
    assert groups_of([BASE, left_out]) == [(BASE,), (left_out,)]


def test_an_accepted_baseline_is_still_understood() -> None:
    assert asks_of(BASE) == "d7862041c978"

"""Splitting work over machines without a cluster, and telling whether all parts came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from harness.core.errors import HarnessError
from harness.core.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
MOST = 1000
"""More machines than anybody has."""


class UnusableShards(HarnessError, ValueError):  # noqa: N818 - reads as what it says of them
    """The parts do not make a whole, or what was given is no part; the message says why."""


class Shard(Frozen):
    """Part ``index`` of ``count``, counted from 1."""

    index: int = Field(ge=1)
    count: int = Field(ge=1)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """``2/5``.

    Raises:
        UnusableShards: it is no shard.
    """
    index, slash, total = text.partition("/")
    if not (slash and index.isdecimal() and total.isdecimal() and 1 <= int(index) <= int(total) <= MOST):
        raise UnusableShards(f"--shard takes a part and a total such as 2/5, not {text!r}")
    return Shard(index=int(index), count=int(total))


def deal(groups: Sequence[Sequence[T]], shard: Shard) -> list[T]:
    """The shard's share of groups that stay together, the largest dealt first; the same on every machine."""
    loads = [0] * shard.count
    mine: list[T] = []
    for group in sorted(groups, key=lambda group: -len(group)):  # stable: the caller's order decides between equals
        place = loads.index(min(loads))
        loads[place] += len(group)
        if place == shard.index - 1:
            mine += group
    return mine


def demand_complete(shards: Sequence[Shard], plans: Sequence[str], what: str) -> None:
    """See that these are all shards of one plan, each once.

    Args:
        shards: the parts at hand.
        plans: the plan's digest that each of them names.
        what: of what they are shards, in the plural, e.g. ``gates``.

    Raises:
        UnusableShards: they are of different plans, some are missing, or some are there twice.
    """
    if len(set(plans)) > 1 or len({shard.count for shard in shards}) > 1:
        raise UnusableShards(
            f"the shards are of different {what} (another selection, matrix, harness or number of shards); "
            "run all of them from the same commit"
        )
    total = shards[0].count
    seen = [shard.index for shard in shards]
    twice = sorted({index for index in seen if seen.count(index) > 1})
    missing = sorted(set(range(1, total + 1)) - set(seen))
    if twice or missing:
        said = [f"{word} {', '.join(map(str, of))}" for word, of in (("twice:", twice), ("missing:", missing)) if of]
        raise UnusableShards(f"the {total} shards are not complete: {'; '.join(said)}")

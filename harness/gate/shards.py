"""Splitting a gate over machines, and putting it together again only when nothing is missing or does not belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness import __version__
from harness.core.comparison import Change
from harness.core.files import LARGEST_JSON, digest, read_bounded
from harness.gate.baseline import asks_of
from harness.gate.change import UnusableChange
from harness.gate.judge import count, decide
from harness.gate.outcome import Cause, GateOutcome, GatePlan
from harness.pipeline.stack import stack_key
from harness.scheduling import shards

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.gate.baseline import Baseline
    from harness.gate.candidates import Candidate
    from harness.scheduling.shards import Shard


def make_plan(bump: str, baseline: Baseline, candidates: Sequence[Candidate]) -> GatePlan:
    """What every shard of this gate must agree on."""
    named = sorted(pair_name(each.reference, each.id) for each in candidates)
    asked = sorted(f"{each.id} {asks_of(each.combination)}" for each in candidates if each.combination is not None)
    return GatePlan(digest=digest(["plan-1", __version__, bump, baseline.digest, named, asked]), combinations=named)


def pair_name(reference: str, candidate: str) -> str:
    """How a plan names a comparison."""
    return f"{reference} → {candidate}"


def parse_shard(text: str) -> Shard:
    """``2/5``.

    Raises:
        UnusableChange: it is no shard.
    """
    try:
        return shards.parse_shard(text)
    except shards.UnusableShards as error:
        raise UnusableChange(str(error)) from error


def part_of(candidates: Sequence[Candidate], shard: Shard) -> list[Candidate]:
    """The shard's share; comparisons that share a stack stay together, the same on every machine."""
    groups: dict[str, list[Candidate]] = {}
    for each in sorted(candidates, key=lambda each: (each.id, each.reference)):
        groups.setdefault(stack_key(each.combination) if each.combination is not None else "", []).append(each)
    return shards.deal(sorted(groups.values(), key=lambda group: (-len(group), group[0].id)), shard)


def read_outcome(file: Path) -> GateOutcome:
    """A shard's file.

    Raises:
        UnusableChange: it is none.
    """
    try:
        return GateOutcome.model_validate_json(read_bounded(file, LARGEST_JSON))
    except OSError as error:
        raise UnusableChange(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UnusableChange(
            f"{file} is not what 'lmdeploy-harness gate --shard' writes: {error.errors()[0]['msg']}"
        ) from error


def merge(parts: Sequence[GateOutcome]) -> GateOutcome:
    """The whole gate.

    Raises:
        UnusableChange: shards are missing, come twice, belong to another gate, or do not hold what was planned.
    """
    if not parts:
        raise UnusableChange("no shards were given")
    first = parts[0]
    if any(each.shard is None for each in parts):
        raise UnusableChange(
            "one of the files is a whole gate and no shard; give the files of 'lmdeploy-harness gate --shard'"
        )
    try:
        shards.demand_complete(
            [each.shard for each in parts if each.shard is not None], [each.plan.digest for each in parts], "gates"
        )
    except shards.UnusableShards as error:
        raise UnusableChange(str(error)) from error
    rows = [row for each in parts for row in each.rows]
    held = sorted(pair_name(row.reference, row.id) for row in rows)
    if held != first.plan.combinations:
        lost = sorted(set(first.plan.combinations) - set(held))
        raise UnusableChange(
            f"the shards do not hold what was planned; without an answer: {', '.join(lost[:5]) or 'none'}"
        )
    code, decision = decide(rows, first.untested)
    return first.model_copy(
        update={
            "shard": None,
            "finished": max(each.finished for each in parts),
            "rows": rows,
            "counts": count(rows),
            "causes": _merged([cause for each in parts for cause in each.causes]),
            "decision": decision,
            "exit_code": int(code),
            "known": list(dict.fromkeys(line for each in parts for line in each.known)),
        }
    )


def _merged(causes: Sequence[Cause]) -> list[Cause]:
    found: dict[str, Cause] = {}
    for each in causes:
        known = found.get(each.id)
        both = sorted({*known.combinations, *each.combinations}) if known is not None else each.combinations
        found[each.id] = (known or each).model_copy(update={"combinations": both})
    return sorted(
        found.values(), key=lambda each: (each.change is not Change.REGRESSED, -len(each.combinations), each.id)
    )

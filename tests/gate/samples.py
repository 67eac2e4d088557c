"""An outcome with rows and causes, its texts hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.comparison import Change
from harness.gate.judge import count, decide
from harness.gate.outcome import Cause, GateOutcome, GatePlan, Row
from harness.gate.shards import pair_name

if TYPE_CHECKING:
    from harness.scheduling.shards import Shard


def row(number: int, change: Change = Change.SAME, **more: object) -> Row:
    name = f"lmdeploy{number}-<b>|@all"
    given = {"id": name, "reference": name, "change": change, "before": "pass", "after": "pass", **more}
    return Row.model_validate(given)


def outcome(rows: list[Row], causes: list[Cause] | None = None, shard: Shard | None = None) -> GateOutcome:
    code, decision = decide(rows)
    return GateOutcome(
        bump="transformers==5.0.0",
        bump_file="requirements.txt",
        bump_line=3,
        baseline="a baseline",
        harness="0",
        finished="2026-11-24T00:00:00Z",
        plan=GatePlan(digest="d", combinations=sorted(pair_name(each.reference, each.id) for each in rows)),
        shard=shard,
        decision=decision,
        exit_code=int(code),
        counts=count(rows),
        rows=rows,
        causes=causes or [],
    )


def cause(number: int) -> Cause:
    return Cause(
        id=f"c{number}",
        change=Change.REGRESSED,
        verdict="fail/import/crash",
        title=f"Title, {number}: with 100% \n two lines",
        line="\x1b[31mred\x00 <script>alert(1)</script>",
        cause="",
        remedy="::error::no",
        source="",
        combinations=["a"],
    )

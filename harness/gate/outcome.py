"""What a gate found, as plain data: every output is made of this, and shards are exchanged in this form."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.core.comparison import ORDER, Change
from harness.core.verdict import Stage
from harness.scheduling.shards import Shard


class _GatePart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(_GatePart):
    """A latency (seconds) or a memory peak (MiB), before and after."""

    text: str
    before: float
    after: float
    worse: bool


class Row(_GatePart):
    """One combination under the gate."""

    id: str
    reference: str
    """Id of what it is compared with."""
    change: Change
    before: str | None
    after: str | None
    tries: list[str] = []
    """The verdicts of all tries, when there was more than one."""
    emulated: str = ""
    """How the engine's emulation on the CPU ended, which says nothing of a GPU; empty: it was not emulated."""
    cause: str | None = None
    """Id of its root cause."""
    must: Stage | None = None
    """The stage that the baseline demands."""
    must_met: bool | None = None
    """None: not demanded, or it could not be told here."""
    seconds: float = 0.0
    measured: list[Measurement] = []
    command: str = ""
    moved: list[str] = []
    """Every package of its stack that is not what it was, ``pydantic 2.12.5 → 2.13.0``."""
    control: str | None = None
    """The verdict without the change, now and here; None: nothing made it necessary to ask."""


class Cause(_GatePart):
    """Why some combinations do not do what they did: one entry for each root cause."""

    id: str
    change: Change
    verdict: str
    title: str
    line: str
    """What was printed or raised, the deciding line."""
    cause: str
    remedy: str
    source: str
    combinations: list[str]


class GatePlan(_GatePart):
    """What all shards of one gate agree on."""

    digest: str
    """Hash of the change, the baseline, the matrix's combinations and the harness; shards of different ones differ."""
    combinations: list[str]
    """Reference and candidate of every comparison, ``a → b``, sorted."""


class GateOutcome(_GatePart):
    """A whole gate, or one shard of it."""

    schema_version: Literal[1] = 1
    bump: str
    bump_file: str = ""
    bump_line: int = 0
    baseline: str
    harness: str
    finished: str
    plan: GatePlan
    shard: Shard | None = None
    decision: str
    """One sentence."""
    exit_code: int
    counts: dict[str, int]
    rows: list[Row]
    causes: list[Cause]
    untested: list[str] = []
    """What changed and is not understood, with its place."""
    notes: list[str] = []
    """What the change does not touch, and why."""
    known: list[str] = []
    """What other machines have shown of stacks that this one could not judge; it decides nothing."""

    def grouped_rows(self) -> list[list[Row]]:
        """Rows that say the same of several combinations, together; what needs a person first."""
        groups: dict[tuple[object, ...], list[Row]] = {}
        for row in self.sorted_rows():
            worse = tuple(each.text for each in row.measured if each.worse)
            said = (
                row.change,
                row.before,
                row.after,
                tuple(row.tries),
                row.emulated,
                row.cause,
                row.must,
                row.must_met,
            )
            groups.setdefault((*said, row.control, tuple(row.moved), worse), []).append(row)
        return list(groups.values())

    def sorted_rows(self) -> list[Row]:
        """What needs a person first."""
        return sorted(self.rows, key=lambda row: (ORDER.index(row.change), row.id, row.reference))

    def outstanding(self) -> list[Row]:
        """What had to be tested and could not be."""
        return [row for row in self.rows if row.must is not None and row.must_met is None]

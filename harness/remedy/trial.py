"""Trying remedies: run the changed combination, and the next change if it fails for the next reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.incidents.verify import BLOCKED, NO_HELP, VERIFIED, helped, stage_of
from harness.remedy.propose import Repair, missing_names, propose

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.records import Record
    from harness.matrix import Combination

MOST_STEPS = 5
"""Changes that are tried one upon the other. The log's own deadlock takes three."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change and what came of it."""

    proposal: Repair
    record: Record
    finding: str
    """``verified``, ``did not help`` or ``blocked here``."""


@dataclass(slots=True)
class Trial:
    """The way from a failing combination to one that is past the failure."""

    failed: Record
    steps: list[Step] = field(default_factory=list)

    @property
    def verified(self) -> Step | None:
        """The step that helped."""
        return self.steps[-1] if self.steps and self.steps[-1].finding == VERIFIED else None


def try_remedies(combination: Combination, failed: Record, run: Callable[[Combination], Record]) -> Trial:
    """Propose, run, and go on with the next failure until one change helps or none is known.

    Args:
        combination: what failed.
        failed: its record.
        run: runs a combination and returns its record.
    """
    trial = Trial(failed)
    names = missing_names(failed)
    tried = [combination.transformers]
    current, record = combination, failed
    for _ in range(MOST_STEPS):
        proposal = propose(current, record, names, tried)
        if proposal is None:
            break
        record = run(proposal.combination)
        finding = helped(record, stage_of(failed))
        trial.steps.append(Step(proposal, record, finding))
        if finding in {VERIFIED, BLOCKED}:
            break
        current = proposal.combination
        tried.append(current.transformers)
        names = list(dict.fromkeys([*names, *missing_names(record)]))
    return trial


__all__ = ["BLOCKED", "NO_HELP", "VERIFIED", "Step", "Trial", "try_remedies"]

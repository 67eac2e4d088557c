"""Whether an incident still reproduces, is diagnosed as what it is, and is remedied by what is said to remedy it.

All of it is read from records. A remedy counts as verified when the remedied combination is past the stage on which the
incident failed, or is stopped on that stage by nothing but this machine's lack of a GPU after having really tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.comparison import Change, compare
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.incidents import combinations_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import Record
    from harness.incidents import Incident
    from harness.matrix import Combination

REPRODUCES = "still reproduces"
GONE = "no longer reproduces"
DIFFERENT = "fails otherwise"
BLOCKED = "blocked here"
VERIFIED = "verified"
NO_HELP = "did not help"


@dataclass(frozen=True, slots=True)
class Proof:
    """One combination and what it showed."""

    id: str
    verdict: str
    finding: str
    """One of the constants of this module."""


@dataclass(frozen=True, slots=True)
class IncidentOutcome:
    """What became of an incident."""

    incident: Incident
    reproductions: tuple[Proof, ...]
    signatures: tuple[str, ...]
    """What the catalogue called the reproductions."""
    remedies: tuple[Proof, ...]

    @property
    def diagnosed(self) -> bool:
        """Whether every reproduction was called by its right name."""
        return self.incident.signature is None or set(self.signatures) == {self.incident.signature}

    @property
    def remedied(self) -> bool:
        """Whether some remedy is verified and none failed to help."""
        findings = {proof.finding for proof in self.remedies}
        return VERIFIED in findings and NO_HELP not in findings

    @property
    def as_stated(self) -> bool:
        """Whether everything is as the log's entry says, as far as this machine can tell."""
        reproduced = all(proof.finding == REPRODUCES for proof in self.reproductions)
        return reproduced and self.diagnosed and not any(proof.finding == NO_HELP for proof in self.remedies)


def verify(incident: Incident, combinations: Sequence[Combination], records: Mapping[str, Record]) -> IncidentOutcome:
    """Judge one incident by the records of its combinations, by id.

    Raises:
        KeyError: a combination has no record.
    """
    broken = combinations_for(incident.reproduced_by, combinations)
    repaired = combinations_for(incident.remedied_by, combinations)
    failed = [stage_of(records[each.id]) for each in broken]
    failed_at = max(failed, key=lambda stage: stage.position, default=Stage.STRUCTURE)
    return IncidentOutcome(
        incident,
        tuple(Proof(each.id, records[each.id].verdict, _reproduced(each, records[each.id])) for each in broken),
        tuple(_signature(records[each.id]) for each in broken),
        tuple(Proof(each.id, records[each.id].verdict, helped(records[each.id], failed_at)) for each in repaired),
    )


def stage_of(record: Record) -> Stage:
    """The stage that the verdict is about; the last one for a pass."""
    return Verdict.parse(record.verdict).stage or Stage.STRUCTURE


def _reproduced(combination: Combination, record: Record) -> str:
    verdict = Verdict.parse(record.verdict)
    if combination.expect.met_by(verdict):
        return REPRODUCES
    if verdict.status is Status.FAIL:
        return DIFFERENT
    if (
        verdict.status is Status.BLOCKED
        and stage_of(record).position <= (combination.expect.stage or Stage.BOOT).position
    ):
        return BLOCKED
    return GONE if verdict.status in {Status.PASS, Status.BLOCKED} else BLOCKED


def _signature(record: Record) -> str:
    """Id of the deciding check's signature, or ``unknown``."""
    diagnosis = record.decisive
    if diagnosis is None or Verdict.parse(record.verdict).status is not Status.FAIL:
        return "none"
    return diagnosis.signature or "unknown"


def helped(record: Record, failed_at: Stage) -> str:
    """Whether the repaired combination is past the stage on which the incident failed."""
    verdict = Verdict.parse(record.verdict)
    if verdict.status is Status.FAIL:
        return NO_HELP
    past = compare(Verdict(Status.FAIL, failed_at, Reason.UNKNOWN), verdict) is Change.FIXED
    stopped_there = verdict.status is Status.BLOCKED and verdict.stage is failed_at
    tried = stopped_there and any(check.key for check in record.stages[-1].checks)
    return VERIFIED if past or tried else BLOCKED

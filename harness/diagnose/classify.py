"""From evidence to a diagnosis: which known failure it is, and what to do about it.

Every statement is held against the catalogue. Within a chain of exceptions the more specific signature wins, then
the one nearer to the root; between unrelated failures the louder one, then the one that happened first, because what
follows is usually fallout. Known consequences of something else only count when nothing else was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from harness.core.records import DiagnosisRecord
from harness.core.verdict import Reason
from harness.diagnose.catalogue import Catalogue, Compiled, Signature, Tier, shipped
from harness.diagnose.matching import Matcher
from harness.diagnose.placeholders import detail, fill, values
from harness.diagnose.statements import Severity, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.diagnose.evidence import Evidence


_CERTAINTY = {
    Tier.SPECIFIC: 0.95,
    Tier.GENERIC: 0.8,
    Tier.WEAK: 0.55,
    Tier.FALLOUT: 0.4,
    Tier.GUESS: 0.3,
    Tier.HINT: 0.25,
}
_STRENGTH = {Tier.SPECIFIC: 2, Tier.GENERIC: 1, Tier.WEAK: 0, Tier.FALLOUT: -1, Tier.GUESS: -2, Tier.HINT: -3}
_HINT_LIMIT = 6000
"""Bytes of text up to which a description, as opposed to a log, is looked at for hints."""
_COMPLAINTS = ("error", "fail", "abort", "fatal")
_QUIET_FACTOR = 0.6
_OFF_STAGE_FACTOR = 0.85
_RIVAL_FACTOR = 0.85


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a failure, or that nothing is."""

    signature: str | None = None
    family: Reason = Reason.UNKNOWN
    captures: dict[str, str] = field(default_factory=dict)
    confidence: float = 0.0
    """0 to 1: how far the pattern, its surroundings and the absence of rivals can be trusted."""
    line: str = ""
    """The line that decided."""
    number: int | None = None
    """Its number in the log, from 1."""
    title: str = ""
    cause: str = ""
    remedy: str = ""
    source: str = ""
    detail: str = ""
    """Short and canonical, for the parentheses of a verdict; free of paths."""
    failure: bool = True
    """False when nothing was said to be wrong, or only known noise."""
    benign: tuple[str, ...] = ()
    """Ids of the known noise that was seen."""
    guessed: bool = False
    """Whether no signature recognised the failure and words or place decided."""

    def record(self) -> DiagnosisRecord:
        """The diagnosis as a result record keeps it."""
        return DiagnosisRecord(
            signature=self.signature,
            family=self.family,
            captures=self.captures,
            confidence=self.confidence,
            line=self.line,
            title=self.title,
            cause=self.cause,
            remedy=self.remedy,
            source=self.source,
        )


class _Hit(NamedTuple):
    """A statement that is a known failure."""

    compiled: Compiled
    statement: Statement
    captures: dict[str, str]

    @property
    def signature(self) -> Signature:
        return self.compiled.signature

    @property
    def strength(self) -> int:
        return _STRENGTH[self.signature.tier]


def classify(evidence: Evidence, catalogue: Catalogue | None = None, *, guess: bool | None = None) -> Diagnosis:
    """The diagnosis of some evidence; always answers, if need be that the failure is unknown.

    Args:
        evidence: what was said, and in which surroundings.
        catalogue: the known failures; the shipped ones unless given.
        guess: whether a failure that no signature recognises may be given a family by its words and its place, and a
            description without an error one by its words. A person reading a log wants that, a verdict must not; so
            unless said otherwise it is done for evidence without a stage.
    """
    catalogue = catalogue or shipped()
    guess = evidence.stage is None if guess is None else guess
    matcher = Matcher(evidence)
    hits = [hit for s in evidence.statements for hit in _hits(s, matcher, catalogue.candidates(s.text))]
    benign, noisy = _noise(hits)
    best = [_best_of_group(group) for group in _groups(hits, noisy)]
    chosen = _choose([hit for hit in best if _may_decide(hit, evidence, guess=guess)])
    if chosen is not None:
        return _diagnosis(chosen, best, evidence, benign)
    root = _loud_root(evidence, noisy)
    if root is None:
        return Diagnosis(failure=False, benign=benign)
    if guess and (root.type or root.severity is Severity.LOUD):
        guessed = next(_hits(root, matcher, catalogue.guesses), None)
        if guessed is not None:
            return _diagnosis(guessed, [], evidence, benign)
    return Diagnosis(line=root.line, number=root.number, benign=benign, detail=(root.type or "").rsplit(".", 1)[-1])


def unexplained(evidence: Evidence, catalogue: Catalogue | None = None) -> Statement | None:
    """The statement that an unknown failure is about; None when nothing loud was said."""
    catalogue = catalogue or shipped()
    matcher = Matcher(evidence)
    hits = [hit for s in evidence.statements for hit in _hits(s, matcher, catalogue.candidates(s.text))]
    return _loud_root(evidence, _noise(hits)[1])


def _hits(statement: Statement, matcher: Matcher, candidates: Sequence[Compiled]) -> Iterator[_Hit]:
    for compiled in candidates:
        captures = matcher.captures(compiled, statement)
        if captures is not None:
            yield _Hit(compiled, statement, captures)


def _noise(hits: list[_Hit]) -> tuple[tuple[str, ...], set[int]]:
    """Ids of the known noise, and the groups of statements that it makes up."""
    benign = [hit for hit in hits if hit.signature.tier is Tier.BENIGN]
    ids = tuple(dict.fromkeys(hit.signature.id for hit in benign))
    return ids, {hit.statement.group for hit in benign}


def _groups(hits: list[_Hit], noisy: set[int]) -> Iterator[list[_Hit]]:
    groups: dict[int, list[_Hit]] = {}
    for hit in hits:
        if hit.statement.group not in noisy:
            groups.setdefault(hit.statement.group, []).append(hit)
    yield from groups.values()


def _best_of_group(hits: list[_Hit]) -> _Hit:
    return max(hits, key=lambda hit: (hit.strength, -hit.statement.depth, -hit.compiled.order))


def _may_decide(hit: _Hit, evidence: Evidence, *, guess: bool) -> bool:
    return hit.signature.tier is not Tier.HINT or (guess and evidence.size <= _HINT_LIMIT)


def _choose(hits: list[_Hit]) -> _Hit | None:
    def rank(hit: _Hit) -> tuple[int, int, int]:
        if hit.signature.tier is Tier.HINT:
            return (hit.strength, -hit.compiled.order, 0)
        return (min(hit.strength, 1), hit.statement.severity, -hit.statement.group)

    said = [hit for hit in hits if hit.strength >= 0]
    loud = [hit for hit in said if hit.statement.severity is not Severity.QUIET]
    return max(loud or said or hits, key=rank, default=None)


def _loud_root(evidence: Evidence, noisy: set[int]) -> Statement | None:
    """The root of the first exception, or else the first loud complaint, that no signature explains."""
    loud = [s for s in evidence.statements if s.group not in noisy and s.severity is not Severity.QUIET]
    raised = [s for s in loud if s.type is not None]
    complaints = [s for s in loud if s.severity is Severity.LOUD or any(word in s.text.lower() for word in _COMPLAINTS)]
    return next(iter(raised or complaints), None)


def _diagnosis(hit: _Hit, best: list[_Hit], evidence: Evidence, benign: tuple[str, ...]) -> Diagnosis:
    signature = hit.signature
    confidence = _CERTAINTY[signature.tier]
    if hit.statement.severity is Severity.QUIET:
        confidence *= _QUIET_FACTOR
    if signature.stages and evidence.stage is not None and evidence.stage not in signature.stages:
        confidence *= _OFF_STAGE_FACTOR
    if any(rival.strength > 0 and rival.signature.family is not signature.family for rival in best):
        confidence *= _RIVAL_FACTOR
    known = values(signature, hit.captures, hit.statement, evidence)
    return Diagnosis(
        signature=signature.id,
        family=signature.family or Reason.UNKNOWN,
        captures=hit.captures,
        confidence=round(confidence, 2),
        line=hit.statement.line,
        number=hit.statement.number,
        title=fill(signature.title, known),
        cause=fill(signature.cause, known),
        remedy=fill(signature.remedy, known),
        source=signature.source,
        detail=detail(signature, hit.captures),
        benign=benign,
        guessed=signature.tier in (Tier.GUESS, Tier.HINT),
    )

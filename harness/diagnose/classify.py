"""From evidence to a diagnosis: which known failure it is, and what to do about it.

Every statement is held against the catalogue. Within a chain of exceptions the more specific signature wins, then
the one nearer to the root; between unrelated failures the louder one, then the one that happened first, because what
follows is usually fallout. Known consequences of something else, and words of prose, only count when nothing else was
said: an exception that no signature knows outranks them. What a person tried one after the other is told beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from harness.core.records import DiagnosisRecord
from harness.core.verdict import Reason
from harness.diagnose.boundaries import shipped as table
from harness.diagnose.catalogue import Catalogue, Compiled, Signature, Tier, shipped
from harness.diagnose.frames import package_of
from harness.diagnose.matching import Matcher
from harness.diagnose.measured import of_cause, of_remedy
from harness.diagnose.missing import is_argument, is_attribute, meant, missing_from
from harness.diagnose.models import is_entry, model_from
from harness.diagnose.placeholders import detail, fill, told_install, values
from harness.diagnose.ranges import by_versions
from harness.diagnose.statements import Severity, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.core.presence import Presence
    from harness.diagnose.evidence import Evidence
    from harness.diagnose.missing import Lookup


_STRENGTH = {
    Tier.SPECIFIC: 2,
    Tier.PRECURSOR: 2,
    Tier.GENERIC: 1,
    Tier.WEAK: 0,
    Tier.FALLOUT: -1,
    Tier.GUESS: -2,
    Tier.HINT: -3,
}
_ABOUT_NAMES = frozenset(
    {
        Reason.SYMBOL,
        Reason.MISSING_DEPENDENCY,
        Reason.ENTRYPOINT,
        Reason.PROCESSOR_DRIFT,
        Reason.CONFIG_DRIFT,
        Reason.QUANTISATION,
        Reason.ARCHITECTURE,
        Reason.SERVING,
    }
)
"""Families whose failures can lack a name of a package."""
_ABOUT_MODELS = frozenset({Reason.ARCHITECTURE, Reason.PROCESSOR_DRIFT})
"""Families whose failures can name a model that a release is older than."""
_ABOUT_PACKAGES = frozenset(
    {Reason.MISSING_DEPENDENCY, Reason.QUANTISATION, Reason.VERSION_GATE, Reason.ATTENTION_OR_BUILD}
)
"""Families whose messages often say what to install."""
_HINT_LIMIT = 6000
"""Bytes of text up to which a description, as opposed to a log, is looked at for hints."""
_COMPLAINTS = ("error", "fail", "abort", "fatal")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a failure, or that nothing is."""

    signature: str | None = None
    family: Reason = Reason.UNKNOWN
    captures: dict[str, str] = field(default_factory=dict)
    confidence: float = 0.0
    """0 to 1: how often causes that were found in this way were right when it was measured."""
    remedy_confidence: float = 0.0
    """0 to 1: how often remedies of this kind were right when it was measured."""
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
    package: str = ""
    """The package whose code raised it, where a traceback shows that."""
    missing: str = ""
    """The dotted name that is not there."""
    presence: Presence | None = None
    """The versions that have it."""
    others: tuple[Diagnosis, ...] = ()
    """Further failures of the same text that are no consequence of this one."""

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


def classify(
    evidence: Evidence,
    catalogue: Catalogue | None = None,
    *,
    guess: bool | None = None,
    lookup: Lookup | None = None,
) -> Diagnosis:
    """The diagnosis of some evidence; always answers, if need be that the failure is unknown.

    Args:
        evidence: what was said, and in which surroundings.
        catalogue: the known failures; the shipped ones unless given.
        guess: whether a failure that no signature recognises may be given a family by its words and its place, and a
            description without an error one by its words. A person reading a log wants that, a verdict must not; so
            unless said otherwise it is done for evidence without a stage.
        lookup: in which versions a name is there; the shipped table unless given.
    """
    catalogue = catalogue or shipped()
    guess = evidence.stage is None if guess is None else guess
    found = _Classifier(evidence, catalogue, lookup or table())
    hits = [hit for s in evidence.statements for hit in _hits(s, found.matcher, catalogue.candidates(s.text))]
    benign, noisy = _noise(hits, evidence.statements)
    best = [_best_of_group(group) for group in _groups(hits, noisy)]
    chosen = _choose([hit for hit in best if _may_decide(hit, evidence, guess=guess)])
    explained = {hit.statement.group for hit in best if hit.strength >= 0}
    root = _loud_root(evidence, noisy if chosen is None else noisy | explained)
    if chosen is not None and (root is None or not _outranks(root, chosen)):
        if chosen.signature.tier is Tier.PRECURSOR and root is None and len(best) == 1:
            return Diagnosis(failure=False, benign=(*benign, chosen.signature.id))
        return found.diagnosis(chosen, best, benign)
    if root is None:
        return Diagnosis(failure=False, benign=benign)
    if guess and (root.type or root.severity is Severity.LOUD):
        guessed = next(_hits(root, found.matcher, catalogue.guesses), None)
        if guessed is not None:
            return found.diagnosis(guessed, [], benign)
    kind = (root.type or "").rsplit(".", 1)[-1]
    return Diagnosis(line=root.line, number=root.number, benign=benign, detail=kind, package=_package(root))


def _outranks(root: Statement, chosen: _Hit) -> bool:
    """Whether something that no signature knows was said more clearly than a consequence or a hint."""
    if root.group == chosen.statement.group or chosen.strength > 0:  # a precursor explains what follows
        return False
    if chosen.strength == 0:
        return root.native and root.group < chosen.statement.group
    return root.native or (root.type is not None and root.severity is Severity.LOUD)


def unexplained(evidence: Evidence, catalogue: Catalogue | None = None) -> Statement | None:
    """The statement that an unknown failure is about; None when nothing loud was said."""
    catalogue = catalogue or shipped()
    matcher = Matcher(evidence)
    hits = [hit for s in evidence.statements for hit in _hits(s, matcher, catalogue.candidates(s.text))]
    return _loud_root(evidence, _noise(hits, evidence.statements)[1])


def _hits(statement: Statement, matcher: Matcher, candidates: Sequence[Compiled]) -> Iterator[_Hit]:
    for compiled in candidates:
        captures = matcher.captures(compiled, statement)
        if captures is not None:
            yield _Hit(compiled, statement, captures)


def _noise(hits: list[_Hit], statements: Sequence[Statement]) -> tuple[tuple[str, ...], set[int]]:
    """Ids of the known noise, and the groups of statements that it makes up: noise that raised more is none."""
    last = {statement.group: statement.depth for statement in statements}
    benign = [
        hit for hit in hits if hit.signature.tier is Tier.BENIGN and hit.statement.depth == last[hit.statement.group]
    ]
    ids = tuple(dict.fromkeys(hit.signature.id for hit in benign))
    return ids, {hit.statement.group for hit in benign}


def _groups(hits: list[_Hit], noisy: set[int]) -> Iterator[list[_Hit]]:
    groups: dict[int, list[_Hit]] = {}
    for hit in hits:
        if hit.statement.group not in noisy and hit.signature.tier is not Tier.BENIGN:
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

    notices = [hit for hit in hits if hit.signature.tier is Tier.PRECURSOR]
    said = [hit for hit in hits if hit.strength >= 0 and hit not in notices]
    loud = [hit for hit in said if hit.statement.severity is not Severity.QUIET]
    found = max(loud or said or [hit for hit in hits if hit not in notices], key=rank, default=None)
    if found is None:
        return next(iter(notices), None)
    return next((hit for hit in notices if hit.statement.group < found.statement.group), found)


def _loud_root(evidence: Evidence, noisy: set[int]) -> Statement | None:
    """The root of the first exception, or else the first loud complaint, that no signature explains."""
    loud = [s for s in evidence.statements if s.group not in noisy and s.severity is not Severity.QUIET]
    raised = [s for s in loud if s.type is not None]
    complaints = [s for s in loud if s.severity is Severity.LOUD or any(word in s.text.lower() for word in _COMPLAINTS)]
    return next(iter(raised or complaints), None)


class _Classifier:
    """Makes diagnoses of one piece of evidence."""

    def __init__(self, evidence: Evidence, catalogue: Catalogue, lookup: Lookup) -> None:
        self.matcher = Matcher(evidence)
        self._evidence = evidence
        self._catalogue = catalogue
        self._lookup = lookup

    def diagnosis(self, hit: _Hit, best: Sequence[_Hit], benign: tuple[str, ...]) -> Diagnosis:
        """What a hit says, with the other failures of the text."""
        first = self._one(hit, best)
        others = [self._one(other, best) for other in self._further(hit, best)]
        told = {(first.signature, *first.captures.items())}
        kept = []
        for other in others:
            if (key := (other.signature, *other.captures.items())) not in told:
                told.add(key)
                kept.append(other)
        return replace(first, benign=benign, others=tuple(kept))

    def _further(self, hit: _Hit, best: Sequence[_Hit]) -> Iterator[_Hit]:
        """Failures beside the one that was chosen: of other attempts, or of a conflict's other parties."""
        for other in best:
            if other is hit or (other.strength <= 0 and not self._lacks(other)):
                continue
            if other.signature.id == hit.signature.id and hit.signature.family is Reason.RESOLVER_CONFLICT:
                yield other
            elif other.statement.severity is not Severity.LOUD:
                continue
            elif self._tried_again(hit.statement, other.statement) or self._both_lack(hit, other):
                yield other

    def _lacks(self, hit: _Hit) -> bool:
        """Whether the failure is a name that only some versions of its package have."""
        presence = self._presence(hit)[1]
        return presence is not None and bool(presence.runs)

    def _both_lack(self, one: _Hit, other: _Hit) -> bool:
        """Whether both failures are names that only some versions of one package have."""
        lacking = [self._presence(hit)[1] for hit in (one, other)]
        return all(each and each.runs for each in lacking) and len({each.package for each in lacking if each}) == 1

    def _presence(self, hit: _Hit) -> tuple[str, Presence | None]:
        packages = [package for frame in reversed(hit.statement.frames) if (package := package_of(frame))]
        text, family = hit.statement.text, hit.signature.family
        files = [frame.file for frame in reversed(hit.statement.frames)]
        model = model_from(text, hit.captures, files) if family in _ABOUT_MODELS else ""
        if model and (known := self._of_model(model)) is not None:
            return model, known
        missing = missing_from(text, hit.captures, packages, self._lookup, names=family in _ABOUT_NAMES)
        presence = self._lookup.of(missing) if missing else None
        if presence is None or missing is None:
            return missing or "", None
        if not presence.runs and is_attribute(missing):
            return missing, None  # a field can be there without the sources saying so
        if is_argument(missing) and len(presence.versions) == len(presence.looked_at):
            return missing, None  # it takes more than it names, or is another than was called
        return missing, presence

    def _of_model(self, model: str) -> Presence | None:
        """Where a model is known, if that tells anything: its type may be a fork's, and all may know it."""
        presence = self._lookup.of(model)
        if presence is None or len(presence.versions) == len(presence.looked_at):
            return None
        return presence if presence.runs or is_entry(model) else None

    def _tried_again(self, one: Statement, other: Statement) -> bool:
        """Whether a person typed a command between the two."""
        if one.number is None or other.number is None:
            return False
        first, last = sorted((one.number, other.number))
        return any(first < number < last for number in self._evidence.attempts)

    def _one(self, hit: _Hit, best: Sequence[_Hit]) -> Diagnosis:
        signature, evidence = hit.signature, self._evidence
        missing, presence = self._presence(hit)
        known = values(signature, hit.captures, hit.statement, evidence, presence)
        remedy = fill(signature.remedy, known)
        missing = missing.removesuffix(".")
        if presence is not None and missing:
            installed = evidence.installed_at(hit.statement.number).get(presence.package, "")
            told = "{requirement}" in signature.remedy
            remedy = by_versions(remedy, missing, presence, installed, self._lookup, told=told)
        elif missing and (name := meant(missing, self._lookup)):
            remedy = f"Did you mean {name}? Otherwise: {remedy}"
        if signature.family in _ABOUT_PACKAGES and (install := told_install(hit.statement.text)) not in remedy:
            remedy = f"{remedy} The message itself says: {install}"
        return Diagnosis(
            signature=signature.id,
            family=signature.family or Reason.UNKNOWN,
            captures=hit.captures,
            confidence=of_cause(signature.tier, doubtful=self._is_doubtful(hit, best)),
            remedy_confidence=of_remedy(signature.tier, by_versions=bool(presence and presence.runs)),
            line=hit.statement.line,
            number=hit.statement.number,
            title=fill(signature.title, known),
            cause=fill(signature.cause, known),
            remedy=remedy,
            source=signature.source,
            detail=detail(signature, hit.captures),
            guessed=signature.tier in (Tier.GUESS, Tier.HINT),
            package=_package(hit.statement),
            missing=missing,
            presence=presence,
        )

    def _is_doubtful(self, hit: _Hit, best: Sequence[_Hit]) -> bool:
        """Whether the error was said quietly, out of its place, or beside one of another family."""
        signature, stage = hit.signature, self._evidence.stage
        quiet = hit.statement.severity is Severity.QUIET and signature.tier is not Tier.PRECURSOR
        elsewhere = bool(signature.stages) and stage is not None and stage not in signature.stages
        rivals = any(rival.strength > 0 and rival.signature.family is not signature.family for rival in best)
        return quiet or elsewhere or rivals


def _package(statement: Statement) -> str:
    """The package of the innermost frame that has one."""
    return next((package for frame in reversed(statement.frames) if (package := package_of(frame))), "")

"""How good the catalogue is: rules that never fire, rules that others hide, rules without fixtures, and coverage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.core.errors import HarnessError
from harness.core.verdict import Reason
from harness.diagnose.catalogue import Catalogue, Tier, shipped
from harness.diagnose.classify import Diagnosis, classify
from harness.diagnose.evidence import Evidence
from harness.diagnose.fixtures import FOLDER, Fixture, Kind, load_fixtures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with a catalogue, and its numbers."""

    signatures: int
    tiers: dict[str, int]
    families: dict[str, int]
    """Signatures of each family, known noise not counted."""
    fixtures: int
    own_runs: int
    """Fixtures that were provoked rather than written."""
    dead: list[str] = field(default_factory=list)
    """Signatures none of whose matches is decided by them."""
    shadowed: dict[str, list[str]] = field(default_factory=dict)
    """Signatures with a match that others decide, and which."""
    without_match: list[str] = field(default_factory=list)
    without_near_miss: list[str] = field(default_factory=list)
    mistaken: list[str] = field(default_factory=list)
    """Signatures that take a near miss for the real thing."""

    @property
    def sound(self) -> bool:
        """Whether every signature has fixtures, and all of them hold."""
        return not (self.dead or self.shadowed or self.without_match or self.without_near_miss or self.mistaken)


def examine(catalogue: Catalogue | None = None, folder: Path = FOLDER) -> Health:
    """Hold a catalogue against its fixtures.

    Raises:
        harness.diagnose.fixtures.FixtureError: a fixture file is malformed.
        OSError: a fixture file cannot be read.
    """
    catalogue = catalogue or shipped()
    fixtures = load_fixtures(folder)
    results = [(fixture, classify(fixture.evidence(), catalogue)) for fixture in fixtures]
    failed = [(fixture, diagnosis) for fixture, diagnosis in results if fixture.problem(diagnosis)]
    ids = [signature.id for signature in catalogue.signatures]
    good = {fixture.signature for fixture, diagnosis in results if _proven(fixture, diagnosis)}
    matched = {fixture.signature for fixture in fixtures if fixture.kind is Kind.MATCH}
    missed = {fixture.signature for fixture in fixtures if fixture.kind is Kind.NEAR_MISS}
    shadowed: dict[str, list[str]] = {}
    for fixture, diagnosis in failed:
        if fixture.kind is Kind.MATCH:
            shadowed.setdefault(fixture.signature, []).append(diagnosis.signature or "nothing")
    return Health(
        signatures=len(ids),
        tiers=dict(Counter(str(signature.tier) for signature in catalogue.signatures)),
        families=dict(Counter(str(s.family) for s in catalogue.signatures if s.tier is not Tier.BENIGN)),
        fixtures=len(fixtures),
        own_runs=sum(not fixture.synthetic for fixture in fixtures),
        dead=[name for name in ids if name in matched and name not in good],
        shadowed=shadowed,
        without_match=[name for name in ids if name not in matched],
        without_near_miss=[name for name in ids if name not in missed],
        mistaken=sorted({fixture.signature for fixture, _ in failed if fixture.kind is Kind.NEAR_MISS}),
    )


def _proven(fixture: Fixture, diagnosis: Diagnosis) -> bool:
    return fixture.kind is Kind.MATCH and fixture.problem(diagnosis) is None


class CasesError(HarnessError, ValueError):
    """A file of labelled failures does not have the form it should; the message says where."""


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled failure from elsewhere, to measure the catalogue with."""

    name: str
    family: Reason | None
    """None for known noise."""
    text: str
    source: str = ""

    def right(self, diagnosis: Diagnosis) -> bool:
        """Whether the diagnosis names the family, or, for noise, no failure."""
        return diagnosis.family is self.family if self.family else not diagnosis.failure


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many labelled failures get the right family."""

    right: dict[str, int]
    total: dict[str, int]
    missed: list[tuple[Case, Diagnosis]]
    alarms: list[tuple[Case, Diagnosis]]
    """Noise that was called a failure."""

    @property
    def share(self) -> float:
        """Part of all cases that is right, 0 to 1."""
        return sum(self.right.values()) / max(1, sum(self.total.values()))


def load_cases(path: Path) -> list[Case]:
    """Labelled failures from a YAML list with ``id``, ``family``, ``benign``, ``excerpt``, ``exception``, ``source``.

    Raises:
        CasesError: the file has another form.
        OSError: it cannot be read.
    """
    try:
        entries = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        return [
            Case(
                name=entry["id"],
                family=None if entry.get("benign") else Reason(entry["family"]),
                text=f"{entry.get('excerpt', '')}\n{entry.get('exception', '')}",
                source=str(entry.get("source", "")),
            )
            for entry in entries
        ]
    except (YAMLError, TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise CasesError(f"{path} is not a list of labelled failures: {error}") from error


def cover(cases: Sequence[Case], catalogue: Catalogue | None = None) -> Coverage:
    """Classify labelled failures and count the right ones, by family."""
    coverage = Coverage(right={}, total={}, missed=[], alarms=[])
    for case in cases:
        diagnosis = classify(Evidence.from_log(case.text), catalogue)
        family = str(case.family or "noise")
        coverage.total[family] = coverage.total.get(family, 0) + 1
        coverage.right[family] = coverage.right.get(family, 0) + case.right(diagnosis)
        if not case.right(diagnosis):
            (coverage.missed if case.family else coverage.alarms).append((case, diagnosis))
    return coverage


def cover_without_own(cases: Sequence[Case], catalogue: Catalogue | None = None) -> Coverage:
    """The same, each case without the signatures that cite its own source: how far the general rules carry alone."""
    catalogue = catalogue or shipped()
    total = Coverage(right={}, total={}, missed=[], alarms=[])
    reduced: dict[frozenset[str], Catalogue] = {}
    for case in cases:
        own = _citing(case, catalogue)
        smaller = reduced.setdefault(own, catalogue.without(set(own)) if own else catalogue)
        one = cover([case], smaller)
        for family, count in one.total.items():
            total.total[family] = total.total.get(family, 0) + count
            total.right[family] = total.right.get(family, 0) + one.right[family]
        total.missed.extend(one.missed)
        total.alarms.extend(one.alarms)
    return total


def _citing(case: Case, catalogue: Catalogue) -> frozenset[str]:
    """Specific signatures that decide the case or whose address names a thread of the case's source."""
    decided = classify(Evidence.from_log(case.text), catalogue).signature
    threads = {
        part.strip().replace("#", "/issues/") for part in case.source.replace(";", ",").split(",") if "#" in part
    }
    return frozenset(
        signature.id
        for signature in catalogue.signatures
        if signature.tier is Tier.SPECIFIC
        and (signature.id == decided or any(thread in signature.source for thread in threads))
    )

"""Records joined to what is known of each stack: by lock where locks are equal, by versions where they are not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.versions import version_key
from harness.evidence.levels import Level
from harness.evidence.sightings import Sighting, distinct, live_failures
from harness.evidence.subjects import TINY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.verdict import Stage
    from harness.evidence.predictions import Predictions
    from harness.evidence.subjects import Subject


@dataclass(frozen=True, slots=True)
class Shown:
    """One sighting that speaks for a stack, and how strongly."""

    sighting: Sighting
    level: Level
    own: bool
    """It was this model's own weights, and no stand-in; a miniature stands in for the model whose structure it has."""
    exact: bool
    """It was this lock."""
    differences: Mapping[str, str | None] = field(default_factory=dict)
    """What ran in another version than the lock's; None: was not there."""

    @property
    def rank(self) -> tuple[int, int]:
        """Larger is stronger."""
        height = self.sighting.height
        climbed = height.position if self.level is Level.CLIMBED and height is not None else -1
        return self.level.strength, climbed

    @property
    def order(self) -> tuple[object, ...]:
        """Among equals: this model before a stand-in, this lock before another, trained weights first, the latest."""
        return (self.rank, self.own, self.exact, self.sighting.knows_answers, self.sighting.order)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one stack for one model on one backend."""

    subject: Subject
    backend: str
    lmdeploy: str
    transformers: str
    python: str
    as_of: str
    lock: str | None
    packages: Mapping[str, str]
    shown: tuple[Shown, ...]
    """What speaks for it, the strongest first."""
    failures: tuple[Sighting, ...]
    """On this lock, none of them taken back."""
    failures_beside: tuple[Sighting, ...]
    """With the same versions of lmdeploy and transformers, on other locks."""
    prediction: str | None = None
    """The scan's."""
    declared: bool | None = None
    """Whether the transformers is among those that lmdeploy itself names; None: not known."""

    @property
    def best(self) -> Shown | None:
        """What gives it its level."""
        return self.shown[0] if self.shown else None

    @property
    def level(self) -> Level:
        """The strongest evidence for it. More evidence never lowers it."""
        if self.best is not None:
            return self.best.level
        return Level.PREDICTED if self.prediction in {"pass", "warn"} else Level.NOTHING

    @property
    def reached(self) -> Stage | None:
        """The highest stage that passed on this lock, whatever the model."""
        heights = [each.sighting.height for each in self.shown if each.exact]
        return max((each for each in heights if each is not None), key=lambda stage: stage.position, default=None)

    @property
    def against(self) -> tuple[Sighting, ...]:
        """Failures that weigh as much as what speaks for it: on its lock, or joined as loosely as its best evidence."""
        loose = self.best is not None and not self.best.exact
        return (*self.failures, *(self.failures_beside if loose else ()))

    @property
    def conflicts(self) -> tuple[Sighting, ...]:
        """Those at a stage that another attempt passed."""
        passed = {stage for each in self.shown for stage in each.sighting.passed}
        return tuple(each for each in self.against if each.failed in passed)

    @property
    def standing(self) -> tuple[int, int]:
        """What it is worth in a choice: its level, or, where evidence is in conflict, only what both sides agree on.

        A stack that fails, and that nothing contradicts, is worth less than one of which nothing is known.
        """
        if not self.against:
            return self.best.rank if self.best is not None else (self.level.strength, -1)
        below = min(each.failed.position for each in self.against if each.failed is not None) - 1
        if self.failures:
            return (Level.CLIMBED.strength if self.conflicts else -1, below)
        failing = {each.failed for each in self.failures_beside}
        left = [each.rank for each in self.shown if each.exact or not failing & each.sighting.passed]
        return max(left, default=(Level.CLIMBED.strength, below))

    @property
    def fails(self) -> bool:
        """Whether it fails, and nothing contradicts that."""
        return self.standing[0] < 0

    @property
    def newness(self) -> tuple[object, ...]:
        """Larger is newer."""
        versions = (version_key(self.lmdeploy), version_key(self.transformers))
        exact = self.best is not None and self.best.exact
        return (*versions, exact, version_key(self.python), not self.as_of, self.as_of, self.lock or "")

    @property
    def pair(self) -> tuple[str, str]:
        """Lmdeploy and transformers."""
        return self.lmdeploy, self.transformers


@dataclass(slots=True)
class Knowledge:
    """Everything that is known, from wherever it was read."""

    subjects: Mapping[str, Subject]
    sightings: Sequence[Sighting]
    predictions: Predictions
    _by_backend: dict[str, dict[str, list[Sighting]]] = field(default_factory=dict)

    @classmethod
    def of(cls, subjects: Mapping[str, Subject], found: Iterable[Sighting], predictions: Predictions) -> Knowledge:
        """What these records tell, each once, in whatever order they came."""
        return cls(subjects, distinct(found), predictions)

    def __post_init__(self) -> None:
        by_backend: defaultdict[str, defaultdict[str, list[Sighting]]] = defaultdict(lambda: defaultdict(list))
        for each in self.sightings:
            by_backend[each.backend][each.model].append(each)
        self._by_backend = {backend: dict(models) for backend, models in by_backend.items()}

    def backends_of(self, model: str) -> list[str]:
        """The backends on which the model itself was tried, or a stand-in for it."""
        subject = self.subjects[model]
        return sorted(
            backend
            for backend, models in self._by_backend.items()
            if any(name == model or self._stands_in(name, subject) for name in models)
        )

    def of_model(self, subject: Subject, backend: str) -> list[Sighting]:
        """What says something of the model on the backend, in the order of time."""
        models = self._by_backend.get(backend, {})
        found = [
            each
            for name, sightings in models.items()
            if name == subject.name or self._stands_in(name, subject)
            for each in sightings
        ]
        return sorted(found, key=lambda each: each.order)

    def _stands_in(self, name: str, subject: Subject) -> bool:
        return name in self.subjects and self.subjects[name].stands_in_for(subject)

    def stacks(self, model: str, backend: str) -> list[Known]:
        """Every stack of which something is known for the model on the backend, in no order that means anything."""
        subject = self.subjects[model]
        found = self.of_model(subject, backend)
        by_pair: defaultdict[tuple[str, str], list[Sighting]] = defaultdict(list)
        for each in found:
            by_pair[each.lmdeploy, each.transformers].append(each)
        known = [
            each for pair, sightings in by_pair.items() for each in self._of_pair(subject, backend, pair, sightings)
        ]
        predicted = self.predictions.pairs(subject, backend)
        known += [self._predicted(subject, backend, pair) for pair in sorted(predicted) if pair not in by_pair]
        return known

    def _of_pair(
        self, subject: Subject, backend: str, pair: tuple[str, str], sightings: Sequence[Sighting]
    ) -> Iterable[Known]:
        groups: defaultdict[tuple[str | None, str, str], list[Sighting]] = defaultdict(list)
        for each in sightings:
            lock = each.record.lock
            # an as_of that resolves to today's lock is today's stack
            groups[(lock, each.python, "") if lock else (None, each.python, each.as_of)].append(each)
        # a stand-in's stack that lacks what this model needs is none for it, and may fail for that alone
        failures = [each for each in live_failures(sightings) if not subject.lacks(pair[0], each.record.stack)]
        for (lock, python, as_of), own in groups.items():
            packages = next((each.record.stack for each in own if each.record.stack), {})
            if subject.lacks(pair[0], packages):
                continue
            here = {each.key for each in own}
            speaking = (_shown(sighting, subject, lock, packages, here) for sighting in sightings)
            dated = min((each.as_of for each in own), default="") if lock else as_of
            yield Known(
                subject=subject,
                backend=backend,
                lmdeploy=pair[0],
                transformers=pair[1],
                python=python,
                as_of=dated,
                lock=lock,
                packages=packages,
                shown=tuple(sorted((each for each in speaking if each), key=lambda each: each.order, reverse=True)),
                failures=tuple(each for each in failures if each.key in here),
                failures_beside=tuple(each for each in failures if each.key not in here),
                prediction=self.predictions.of(subject, backend, pair),
                declared=self.predictions.declared(*pair),
            )

    def _predicted(self, subject: Subject, backend: str, pair: tuple[str, str]) -> Known:
        return Known(
            subject=subject,
            backend=backend,
            lmdeploy=pair[0],
            transformers=pair[1],
            python=self.predictions.python_of(subject, backend),
            as_of="",
            lock=None,
            packages={},
            shown=(),
            failures=(),
            failures_beside=(),
            prediction=self.predictions.of(subject, backend, pair),
            declared=self.predictions.declared(*pair),
        )


def _shown(
    sighting: Sighting, subject: Subject, lock: str | None, packages: Mapping[str, str], here: set[str]
) -> Shown | None:
    """What the sighting shows of the stack; None: nothing."""
    own = sighting.model == subject.name and subject.weights not in TINY
    exact = sighting.key in here
    if not exact:
        if not sighting.served or lock is None:
            return None  # only an engine that answered says something of other packages than its own
        ran = sighting.ran
        unlike = {name: ran.get(name) for name in sorted({*ran, *packages}) if ran.get(name) != packages.get(name)}
        return Shown(sighting, Level.BESIDE, own, exact, unlike)
    unlike = dict(sorted(sighting.record.differences.items()))
    if sighting.served:
        level = Level.BESIDE if unlike else Level.SERVED if own else Level.STAND_IN
        return Shown(sighting, level, own, exact, unlike)
    if sighting.emulated and not unlike:
        return Shown(sighting, Level.EMULATED, own, exact)
    return Shown(sighting, Level.CLIMBED, own, exact, unlike) if sighting.height is not None else None

"""From a matrix, the known releases and the model specs to the ordered list of combinations."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.core.verdict import Expectation, Status
from harness.engines import Backend, Launch
from harness.matrix.combination import Combination, TargetMachine, Timeout
from harness.matrix.patterns import Rulebook
from harness.matrix.problems import MatrixError, Problem, suggestion
from harness.matrix.versions import Releases, VersionRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from packaging.version import Version

    from harness.matrix.models import ModelSpec
    from harness.matrix.schema import Axes, Include, Matrix

MAX_COMBINATIONS = 20_000
"""More than anybody runs; stops a matrix that multiplies by accident."""

Place = tuple["str | int", ...]
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")


@dataclass(frozen=True, slots=True)
class _Choice:
    """One value of a version axis."""

    version: Version
    rule: str | None
    """The rule it came from; None: it stands in the file itself."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A combination before the matrix's rules are applied to it."""

    python: str
    lmdeploy: _Choice
    transformers: _Choice
    backend: Backend
    model: str
    as_of: date | None
    entry: Include | None
    """The include it comes from; None: the axes."""
    place: Place

    @property
    def lmdeploy_version(self) -> Version:
        return self.lmdeploy.version

    @property
    def transformers_version(self) -> Version:
        return self.transformers.version

    @property
    def launch(self) -> Launch:
        return self.entry.launch if self.entry is not None else Launch.LIBRARY

    @property
    def rules(self) -> tuple[str | None, str | None]:
        """The version rules behind it."""
        return self.lmdeploy.rule, self.transformers.rule

    @property
    def id(self) -> str:
        parts = [
            f"lmdeploy{self.lmdeploy.version}",
            f"transformers{self.transformers.version}",
            str(self.backend),
            self.model,
            f"py{self.python}",
        ]
        if self.as_of is not None:
            parts.append(f"as-of-{self.as_of.isoformat()}")
        if self.launch is not Launch.LIBRARY:
            parts.append(str(self.launch))
        if self.entry is not None and self.entry.label is not None:
            parts.append(self.entry.label)
        return _UNSAFE.sub("_", "-".join(parts))


class _Adding(Protocol):
    """A part of the matrix that adds to a lock."""

    @property
    def requirements(self) -> tuple[str, ...]: ...
    @property
    def overrides(self) -> tuple[str, ...]: ...


def expand(matrix: Matrix, models: Mapping[str, ModelSpec], releases: Releases) -> tuple[Combination, ...]:
    """Every combination, excluded ones included, in the order of the file: first the axes, then the includes.

    The releases are asked for only where a version rule stands. A combination that is reached both by a rule and by
    its exact versions is there once, as its exact entry says; so is one that the axes exclude and an include names.

    Raises:
        MatrixError: an unknown model, a rule that no release matches, or two entries that say the same combination.
        harness.index.download.IndexUnavailable: a rule could not be expanded.
    """
    points = _Points(matrix, models, releases)
    found = points.all()
    if points.problems:
        raise MatrixError(points.problems)
    finish = _Finish(matrix, models)
    return tuple(finish.combination(point) for point in found)


class _Points:
    """Which combinations there are."""

    def __init__(self, matrix: Matrix, models: Mapping[str, ModelSpec], releases: Releases) -> None:
        self.problems: list[Problem] = []
        self._matrix = matrix
        self._document = matrix.document
        self._models = models
        self._releases = releases
        self._excludes = Rulebook.of((exclude, exclude) for exclude in matrix.exclude)
        self._count = 0

    def all(self) -> list[_Point]:
        """Every point once, in the order of the file."""
        self._check_models_of_rules()
        kept: dict[str, _Point] = {}
        for point in self._written():
            first = kept.setdefault(point.id, point)
            if first is point:
                continue
            if first.entry is None and point.entry is not None and self._excludes.about(first):
                kept[point.id] = point  # the axes leave it out, the include wants it
            elif first.rules == point.rules:
                self._refuse_duplicate(first, point)
            elif point.rules == (None, None):
                kept[point.id] = point  # the entry that was written out says more than the rule
        return list(kept.values())

    def _written(self) -> Iterator[_Point]:
        matrix = self._matrix
        yield from self._crossed(matrix.axes, None, matrix.as_of, ("axes",))
        for number, entry in enumerate(matrix.include):
            as_of = entry.as_of if "as_of" in entry.model_fields_set else matrix.as_of
            yield from self._crossed(entry, entry, as_of, ("include", number))

    def _crossed(self, axes: Axes, entry: Include | None, as_of: date | None, place: Place) -> Iterator[_Point]:
        lmdeploy = self._versions("lmdeploy", axes.lmdeploy, as_of, place)
        transformers = self._versions("transformers", axes.transformers, as_of, place)
        models = self._known_models(axes.model, (*place, "model"))
        pythons, backends = dict.fromkeys(axes.python), dict.fromkeys(axes.backend)
        self._count += len(lmdeploy) * len(transformers) * len(models) * len(pythons) * len(backends)
        if self._count > MAX_COMBINATIONS:
            message = f"these make more than {MAX_COMBINATIONS:,} combinations"
            self.problems.append(self._document.problem(place, message, "narrow an axis or a version rule"))
            return
        for python, engine, library, model, backend in itertools.product(
            pythons, lmdeploy, transformers, models, backends
        ):
            yield _Point(python, engine, library, backend, model, as_of, entry, place)

    def _versions(self, package: str, written: tuple[str, ...], as_of: date | None, place: Place) -> list[_Choice]:
        chosen: dict[Version, _Choice] = {}
        for number, text in enumerate(written):
            rule = VersionRule.parse(text)
            if rule.exact is not None:
                chosen[rule.exact] = _Choice(rule.exact, None)
                continue
            known = self._releases.versions(package, as_of)
            found = rule.expand(known)
            for version in found:
                chosen.setdefault(version, _Choice(version, text))
            if not found:
                when = f" as of {as_of}" if as_of else ""
                hint = f"the newest known release is {known[-1]}" if known else "no release at all is known"
                message = f"no release of {package} matches '{text}'{when}"
                self.problems.append(self._document.problem((*place, package, number), message, hint))
        return list(chosen.values())

    def _known_models(self, names: tuple[str, ...], place: Place) -> list[str]:
        for number, name in enumerate(names):
            if name not in self._models:
                message = f"there is no model '{name}'"
                self.problems.append(self._document.problem((*place, number), message, suggestion(name, self._models)))
        return [name for name in dict.fromkeys(names) if name in self._models]

    def _check_models_of_rules(self) -> None:
        matrix = self._matrix
        for number, exclude in enumerate(matrix.exclude):
            self._known_models(exclude.model, ("exclude", number, "model"))
        whens = {
            "rules": [rule.when for rule in matrix.rules],
            "expect": [rule.when for rule in matrix.expect],
            "tags": [rule.when for rule in matrix.tags],
        }
        for section, listed in whens.items():
            for number, when in enumerate(listed):
                self._known_models(when.model, (section, number, "when", "model"))

    def _refuse_duplicate(self, first: _Point, second: _Point) -> None:
        line = self._document.place(first.place)[0]
        message = f"this combination stands already on line {line}: {first.id}"
        self.problems.append(self._document.problem(second.place, message, "remove one, or give one a `label`"))


class _Finish:
    """What the matrix says about a point."""

    def __init__(self, matrix: Matrix, models: Mapping[str, ModelSpec]) -> None:
        self._matrix = matrix
        self._models = models
        self._excludes = Rulebook.of((exclude, exclude.reason) for exclude in matrix.exclude)
        self._expects = Rulebook.of((rule.when, rule) for rule in matrix.expect)
        self._rules = Rulebook.of((rule.when, rule) for rule in matrix.rules)
        self._tags = Rulebook.of((rule.when, rule.name) for rule in matrix.tags)
        self._timeouts = {stage: Timeout(limit.wall, limit.idle) for stage, limit in matrix.timeouts.items()}
        wanted = matrix.target
        self._target = TargetMachine(wanted.gpu_memory, wanted.platform, wanted.driver, wanted.compute_capability)

    def combination(self, point: _Point) -> Combination:
        """The point with every rule applied."""
        matrix, entry, model = self._matrix, point.entry, self._models[point.model]
        rules = self._rules.about(point)
        expected, because = self._expected(point)
        excluded = self._excludes.about(point) if entry is None else []
        adding: tuple[_Adding, ...] = (matrix, *rules) if entry is None else (matrix, *rules, entry)
        notes = (entry.note if entry is not None else "", because, *(rule.because for rule in rules))
        chosen = {"lmdeploy": point.lmdeploy.rule, "transformers": point.transformers.rule}
        return Combination(
            id=point.id,
            python=point.python,
            lmdeploy=str(point.lmdeploy.version),
            transformers=str(point.transformers.version),
            backend=point.backend,
            model=point.model,
            as_of=point.as_of,
            launch=point.launch,
            requirements=_unique(
                f"lmdeploy=={point.lmdeploy.version}",
                f"transformers=={point.transformers.version}",
                *model.requirements_for(point.lmdeploy.version),
                *(text for part in adding for text in part.requirements),
            ),
            overrides=_unique(*(text for part in adding for text in part.overrides)),
            allow_source=_unique(*model.allow_source, *matrix.allow_source),
            tags=_unique(*(entry.tags if entry is not None else ()), *self._tags.about(point)),
            expect=expected,
            note=" ".join(note.strip() for note in notes if note.strip()),
            excluded=excluded[0] if excluded else None,
            timeouts=self._timeouts,
            target=self._target,
            written={axis: rule for axis, rule in chosen.items() if rule is not None},
            source=f"{matrix.document.file}:{matrix.document.place(point.place)[0]}",
        )

    def _expected(self, point: _Point) -> tuple[Expectation, str]:
        if point.entry is not None and point.entry.expect is not None:
            return Expectation.parse(point.entry.expect), ""
        hits = self._expects.about(point)
        if not hits:
            return Expectation(Status.PASS), ""
        return Expectation.parse(hits[-1].verdict), hits[-1].because


def _unique(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))

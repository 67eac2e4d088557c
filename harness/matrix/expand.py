"""From a matrix, the known releases and the model specs to the ordered list of combinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harness.core.verdict import Expectation, Status
from harness.matrix.combination import Combination, TargetMachine, Timeout
from harness.matrix.patterns import Rulebook
from harness.matrix.points import Points
from harness.matrix.problems import MatrixError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.matrix.deployed import LockReader
    from harness.matrix.models import ModelSpec
    from harness.matrix.point import Point
    from harness.matrix.schema import Matrix
    from harness.matrix.versions import Releases


class _Adding(Protocol):
    """A part of the matrix that adds to a lock."""

    @property
    def requirements(self) -> tuple[str, ...]: ...
    @property
    def overrides(self) -> tuple[str, ...]: ...


def expand(
    matrix: Matrix, models: Mapping[str, ModelSpec], releases: Releases, locks: LockReader | None = None
) -> tuple[Combination, ...]:
    """Every combination, excluded ones included, in the order of the file: first the axes, then the includes.

    The releases are asked for only where a version rule stands. A combination that is reached both by a rule and by
    its exact versions is there once, as its exact entry says; so is one that the axes exclude and an include names.

    Args:
        matrix: what is said.
        models: the specs that it may name.
        releases: asked for what a version rule means.
        locks: reads the locks that it names; None: it names none.

    Raises:
        MatrixError: an unknown model, a rule that no release matches, a lock that cannot be read, or two entries that
            say the same combination.
        harness.index.download.IndexUnavailable: a rule could not be expanded.
    """
    points = Points(matrix, models, releases, locks)
    found = points.all()
    if points.problems:
        raise MatrixError(points.problems)
    finish = _Finish(matrix, models)
    return tuple(finish.combination(point) for point in found)


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

    def combination(self, point: Point) -> Combination:
        """The point with every rule applied."""
        matrix, entry, model = self._matrix, point.entry, self._models[point.model]
        rules = self._rules.about(point)
        expected, because = self._expected(point)
        excluded = self._excludes.about(point) if entry is None else []
        adding: tuple[_Adding, ...] = (matrix, *rules) if entry is None else (matrix, *rules, entry)
        stack = point.stack
        if stack.complete:
            adding = ()  # nothing is added to a stack that says every package
        notes = (entry.note if entry is not None else "", because, *(rule.because for rule in rules))
        chosen = {"lmdeploy": point.lmdeploy.rule, "transformers": point.transformers.rule}
        chosen |= {name: choice.rule for name, choice in point.packages.items()}
        from_source = ("lmdeploy",) if point.lmdeploy.source is not None and point.lmdeploy.source.from_source else ()
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
                *stack.requirements,
                *(() if stack.complete else model.requirements_for(point.lmdeploy.version)),
                *(text for part in adding for text in part.requirements),
            ),
            overrides=_unique(*(text for part in adding for text in part.overrides)),
            allow_source=_unique(*model.allow_source, *matrix.allow_source, *from_source),
            tags=_unique(*(entry.tags if entry is not None else ()), *self._tags.about(point)),
            expect=expected,
            note=" ".join(note.strip() for note in notes if note.strip()),
            excluded=excluded[0] if excluded else None,
            timeouts=self._timeouts,
            target=self._target,
            written={axis: rule for axis, rule in chosen.items() if rule is not None},
            lock=point.lock,
            complete=stack.complete,
            constraints=stack.constraints,
            kept=stack.kept,
            indexes=(*stack.indexes, *((point.index,) if point.index else ())),
            cuda=point.cuda,
            packages={name: str(choice.version) for name, choice in point.packages.items()},
            settings=point.settings,
            source=f"{matrix.document.file}:{matrix.document.place(point.place)[0]}",
        )

    def _expected(self, point: Point) -> tuple[Expectation, str]:
        if point.entry is not None and point.entry.expect is not None:
            return Expectation.parse(point.entry.expect), ""
        hits = self._expects.about(point)
        if not hits:
            return Expectation(Status.PASS), ""
        return Expectation.parse(hits[-1].verdict), hits[-1].because


def _unique(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))

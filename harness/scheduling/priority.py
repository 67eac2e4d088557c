"""In which order a run does its work: as the matrix has it, or so that every minute tells as much as it can.

A verdict is worth running for when nobody could have told it. Along a line of the matrix, all versions of transformers
under one engine or the other way round, verdicts come in stretches, so what is to be learned is where they change. A
point between two equal verdicts tells little; one halfway between two different ones tells a whole bit; where nothing
was run, the scan's prediction stands in, and its own boundaries are what is most worth a try.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from packaging.version import InvalidVersion, Version
from pydantic import ValidationError

from harness.core.verdict import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.records import Record
    from harness.matrix import Combination
    from harness.results.store import Known
    from harness.scheduling.executors import Work

LINES = ("transformers", "lmdeploy")
"""Axes along which verdicts come in stretches."""
SURPRISE = 0.05
"""Chance that a point between two equal verdicts has another one."""
MISTAKE = 0.1
"""Chance that the scan's prediction is wrong: it is measured by ``lmdeploy-harness scan-truth``."""
STACK_SECONDS = 15.0
"""What a stack costs before its first combination has anything of its own, and ..."""
COMBINATION_SECONDS = 10.0
"""... what each combination costs beyond that, as long as this run has not shown it."""

Point = tuple[str, str, str, str]
"""Model, backend, lmdeploy, transformers."""


class Priority(Protocol):
    """Gives out pieces of work. Not safe for threads: the run guards it."""

    def begin(self, groups: Sequence[Work], known: Mapping[str, Known]) -> None:
        """Take in what there is to do, and what is on record already, of other inputs included."""

    def take(self) -> Work | None:
        """The next piece; None when there is none left."""

    def learn(self, record: Record) -> None:
        """A result came in."""


@dataclass(slots=True)
class InTurn:
    """The matrix's own order."""

    _waiting: list[Work] = field(default_factory=list)

    def begin(self, groups: Sequence[Work], known: Mapping[str, Known]) -> None:  # noqa: ARG002 - makes no difference
        """Take in the groups."""
        self._waiting = list(reversed(groups))

    def take(self) -> Work | None:
        """The first that is left."""
        return self._waiting.pop() if self._waiting else None

    def learn(self, record: Record) -> None:
        """Nothing: the order stands."""


def bits(chance: float) -> float:
    """What a yes or no of that chance tells, in bits."""
    if not 0 < chance < 1:
        return 0.0
    return -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)


@dataclass(slots=True)
class _Line:
    """Combinations that differ in one version only, in the order of that version."""

    places: list[Version] = field(default_factory=list)
    verdicts: dict[Version, str] = field(default_factory=dict)
    predicted: dict[Version, str] = field(default_factory=dict)

    def add(self, version: Version) -> None:
        place = bisect_left(self.places, version)
        if self.places[place : place + 1] != [version]:
            self.places.insert(place, version)

    def gain(self, version: Version) -> float:
        """Bits that a verdict here is expected to tell about the line."""
        here = bisect_left(self.places, version)
        below = next((at for at in range(here - 1, -1, -1) if self.places[at] in self.verdicts), None)
        above = next((at for at in range(here + 1, len(self.places)) if self.places[at] in self.verdicts), None)
        expected = self._predicted_gain(here)
        if below is not None and above is not None:
            if self.verdicts[self.places[below]] == self.verdicts[self.places[above]]:
                return bits(SURPRISE)
            return bits((here - below) / (above - below)) if expected is None else max(expected, bits(MISTAKE))
        if expected is not None:
            return expected
        ends = (0 if below is None else below, len(self.places) - 1 if above is None else above)
        if below is None and above is None:
            return bits((here - ends[0] + 1) / (ends[1] - ends[0] + 2))
        # one side is known: the farther from it, the less is known here
        reach = here - ends[0] if below is not None else ends[1] - here
        return bits(0.5 * reach / max(1, ends[1] - ends[0]))

    def _predicted_gain(self, here: int) -> float | None:
        """Bits, where the scan has a word on this place; None where it has none."""
        word = self.predicted.get(self.places[here])
        if word is None:
            return None
        beside = [self.predicted.get(self.places[at]) for at in (here - 1, here + 1) if 0 <= at < len(self.places)]
        return 1.0 if any(each not in {None, word} for each in beside) else bits(MISTAKE)


@dataclass(slots=True)
class MostInformative:
    """The piece of work that tells most for its time, judged anew with every result.

    ``predictions`` are the scan's words on pairs (:func:`predictions_of`).
    """

    predictions: Mapping[Point, str] = field(default_factory=dict)
    _groups: dict[int, Work] = field(default_factory=dict)
    _values: dict[int, float] = field(default_factory=dict)
    _lines: defaultdict[tuple[str, ...], _Line] = field(default_factory=lambda: defaultdict(_Line))
    _on: defaultdict[tuple[str, ...], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Groups with a combination on the line."""
    _seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """What combinations of a backend took so far."""

    def begin(self, groups: Sequence[Work], known: Mapping[str, Known]) -> None:
        """Draw the lines: every combination to run, and every one on record, is a point on two of them."""
        for each in known.values():
            with suppress(ValidationError):  # a damaged line tells nothing
                self._mark(each.record())
        self._groups = dict(enumerate(groups))
        for number, group in self._groups.items():
            for combination in group:
                for key, version in _places(combination.axes):
                    self._lines[key].add(version)
                    self._on[key].add(number)
                    word = self.predictions.get(_point(combination))
                    if word is not None:
                        self._lines[key].predicted[version] = word
        self._values = {number: self._value(group) for number, group in self._groups.items()}

    def take(self) -> Work | None:
        """The best that is left; of equals, the first."""
        if not self._groups:
            return None
        best = max(self._values, key=lambda number: (self._values[number], -number))
        del self._values[best]
        return self._groups.pop(best)

    def learn(self, record: Record) -> None:
        """Judge anew what lies on the record's lines."""
        for key in self._mark(record):
            for number in self._on[key] & self._groups.keys():
                self._values[number] = self._value(self._groups[number])

    def _mark(self, record: Record) -> list[tuple[str, ...]]:
        verdict = Verdict.parse(record.verdict)
        if verdict.status in {Status.INFRA, Status.SKIPPED}:
            return []
        self._seconds[record.axes["backend"]].append((record.finished - record.started).total_seconds())
        places = _places(record.axes)
        for key, version in places:
            self._lines[key].add(version)
            self._lines[key].verdicts[version] = f"{verdict.status}/{verdict.stage}/{verdict.reason}"
        return [key for key, _ in places]

    def _value(self, group: Work) -> float:
        """Bits for each second."""
        if all(each.excluded is not None for each in group):
            return math.inf  # costs nothing
        told = sum(self._gain(each) for each in group)
        return told / (STACK_SECONDS + sum(self._usual(each) for each in group))

    def _gain(self, combination: Combination) -> float:
        """The most that it tells about a line; one that is alone on its lines is a question of its own, a whole bit."""
        lines = [(self._lines[key], version) for key, version in _places(combination.axes)]
        return max((line.gain(version) for line, version in lines if len(line.places) > 1), default=1.0)

    def _usual(self, combination: Combination) -> float:
        seen = self._seconds.get(str(combination.backend))
        return sum(seen) / len(seen) if seen else COMBINATION_SECONDS


def _places(axes: Mapping[str, str]) -> list[tuple[tuple[str, ...], Version]]:
    """The lines a combination is on, and where on them it is; none for versions that have no order."""
    found = []
    for axis in LINES:
        with suppress(InvalidVersion):
            rest = sorted(f"{name}={value}" for name, value in axes.items() if name != axis)
            found.append(((axis, *rest), Version(axes[axis])))
    return found


def _point(combination: Combination) -> Point:
    return combination.model, str(combination.backend), combination.lmdeploy, combination.transformers


def predictions_of(scan: Mapping[str, object] | None, combinations: Iterable[Combination]) -> dict[Point, str]:
    """The words of a kept map (``lmdeploy-harness scan --write``) on these combinations; nothing where it says nothing.

    The map is of one model on one engine; it stands for models whose names begin like its own, and for the canary.
    """
    if scan is None:
        return {}
    model, backend = str(scan.get("model", "")), scan.get("backend")
    rows, columns, cells = scan.get("rows"), scan.get("columns"), scan.get("cells")
    if not (isinstance(rows, list) and isinstance(columns, list) and isinstance(cells, list)):
        return {}
    words = {
        (str(row), str(column)): str(cell.get("prediction"))
        for row, line in zip(rows, cells, strict=False)
        for column, cell in zip(columns, line, strict=False)
        if isinstance(cell, dict)
    }
    return {
        _point(each): words[each.lmdeploy, each.transformers]
        for each in combinations
        if backend == each.backend
        and (each.model.startswith(model) or each.model == "canary")
        and (each.lmdeploy, each.transformers) in words
    }

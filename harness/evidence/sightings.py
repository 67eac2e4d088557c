"""What one record shows, and for which stack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from harness.core.files import digest
from harness.core.verdict import Stage, Status, Verdict
from harness.engines import ENGINES, LAUNCHES, Launch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

    from harness.core.records import Record

SERVED = (Stage.BOOT, Stage.SEE, Stage.STRUCTURE)
"""What it takes to have served."""
_UNJUDGED = "any"
"""The judge of weights whose answers mean nothing."""
_NUMBERS = "logits"
"""The judge of weights that have no right answer: their numbers are compared."""


def aware(moment: datetime) -> datetime:
    """The moment; one without a zone is in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Sighting:
    """One attempt at one combination, and where its record was read."""

    record: Record
    source: str = ""
    """Name of the place; empty: this machine's own records."""

    @cached_property
    def key(self) -> str:
        """Equal for two copies of one record: all that evidence is made of, and not the attempt's number in a file."""
        told = self.record
        times = [aware(told.started).timestamp(), self.finished.timestamp()]
        stages = [[each.stage, each.verdict] for each in told.stages]
        facts = [sorted(map(str, self._judges)), dict(self.settings), self.peak_mib, self.budget_mib]
        packages = [told.lock, told.stack, told.differences]
        return digest([told.id, told.axes, *times, told.verdict, stages, facts, packages, repr(told.machine)])

    @property
    def finished(self) -> datetime:
        """When it ended."""
        return aware(self.record.finished)

    @property
    def model(self) -> str:
        """The model that was asked."""
        return self.record.axes.get("model", "")

    @property
    def backend(self) -> str:
        """The backend that was asked for."""
        return self.record.axes.get("backend", "")

    @property
    def lmdeploy(self) -> str:
        """Its version."""
        return self.record.axes.get("lmdeploy", "")

    @property
    def transformers(self) -> str:
        """Its version."""
        return self.record.axes.get("transformers", "")

    @property
    def python(self) -> str:
        """Its version."""
        return self.record.axes.get("python", "")

    @property
    def as_of(self) -> str:
        """The day as of which the stack was resolved; empty: the day of the run."""
        return self.record.axes.get("as_of", "")

    @property
    def launch(self) -> str:
        """How the engine was started."""
        return self.record.axes.get("launch", str(Launch.LIBRARY))

    @property
    def options(self) -> str:
        """What the engine was told beyond the ordinary, as the matrix writes it; empty: nothing."""
        return self.record.axes.get("engine", "")

    @cached_property
    def verdict(self) -> Verdict:
        """Its verdict."""
        return Verdict.parse(self.record.verdict)

    @cached_property
    def passed(self) -> frozenset[Stage]:
        """The stages that passed."""
        return frozenset(each.stage for each in self.record.stages if Verdict.parse(each.verdict).status is Status.PASS)

    @property
    def height(self) -> Stage | None:
        """The highest stage that passed."""
        return max(self.passed, key=lambda stage: stage.position, default=None)

    @property
    def failed(self) -> Stage | None:
        """The stage that failed."""
        return self.verdict.stage if self.verdict.status is Status.FAIL else None

    @property
    def tells(self) -> bool:
        """Whether it says anything of the versions: no trouble of a machine, and no way of starting that is wrong."""
        style = next((LAUNCHES[each] for each in Launch if each == self.launch), None)
        wrong = style is not None and style.instead is not None
        says = self.verdict.status in {Status.PASS, Status.FAIL, Status.BLOCKED}
        return says and not wrong

    @cached_property
    def _judges(self) -> frozenset[object]:
        asked = (facts.get("asked") for _, facts in self._facts())
        return frozenset(each.get("judge") for each in asked if isinstance(each, dict))

    @property
    def judged(self) -> bool:
        """Whether the answers could be right or wrong."""
        return _UNJUDGED not in self._judges

    @property
    def knows_answers(self) -> bool:
        """Whether the right answers are known, as they are of trained weights."""
        return self._judges.isdisjoint({_UNJUDGED, _NUMBERS})

    @property
    def served(self) -> bool:
        """Whether the engine came up where it is meant to, and both answers were right."""
        engine = ENGINES.get(self.backend)
        fit = engine is not None and (not engine.needs_gpu or bool(self.record.machine.gpus))
        return fit and self.passed.issuperset(SERVED) and self.judged and self.failed is None

    @property
    def emulated(self) -> bool:
        """Whether the engine's arithmetic was right on a CPU."""
        return Stage.EMULATE in self.passed

    @cached_property
    def machine(self) -> str:
        """The kind of machine, in words: what decides whether a verdict there says something here."""
        machine = self.record.machine
        card = sorted({*machine.gpus})
        return f"{' and '.join(card) or 'no GPU'}{' under WSL2' if machine.wsl else ''}"

    @cached_property
    def ran(self) -> Mapping[str, str]:
        """What ran: the lock's packages, with those that took their place."""
        found = dict(self.record.stack)
        for name, version in self.record.differences.items():
            if version is None:
                found.pop(name, None)
            else:
                found[name] = version.partition(" ")[0]  # a wheel that lacked some of its files says so behind it
        return found

    @property
    def question(self) -> tuple[str, str | None, str]:
        """What was asked, and where: a later answer to it takes the place of an earlier failure."""
        return self.record.id, self.record.lock, repr(self.record.machine)

    @cached_property
    def settings(self) -> Mapping[str, JsonValue]:
        """What the engine that came up was told; empty where none did."""
        for stage, facts in self._facts():
            boot = facts.get("boot")
            told = boot.get("settings") if isinstance(boot, dict) else None
            if stage is Stage.BOOT and isinstance(told, dict):
                return told
        return {}

    @cached_property
    def peak_mib(self) -> float | None:
        """GPU memory that the boot was seen to take; None: not measured."""
        return self._gpu("peak_mib")

    @cached_property
    def budget_mib(self) -> float | None:
        """GPU memory that the boot was allowed."""
        return self._gpu("budget_mib")

    def _gpu(self, name: str) -> float | None:
        for _, facts in self._facts():
            told = facts.get("gpu")
            value = told.get(name) if isinstance(told, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
                return float(value)
        return None

    def _facts(self) -> Iterable[tuple[Stage, Mapping[str, JsonValue]]]:
        return ((stage.stage, check.facts) for stage in self.record.stages for check in stage.checks)

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts by time; what ties is settled by content, so that the order of reading makes no difference."""
        return (self.finished.timestamp(), self.key, self.source != "", self.source)


def distinct(found: Iterable[Sighting]) -> list[Sighting]:
    """Each record once, in the order of time, those that say nothing of versions left out."""
    ordered = sorted((each for each in found if each.tells), key=lambda each: each.order)
    once: dict[str, Sighting] = {}
    for each in ordered:
        once.setdefault(each.key, each)
    return list(once.values())


def live_failures(found: Iterable[Sighting]) -> list[Sighting]:
    """Failures that no later attempt at the same thing, on the same lock and machine, has taken back.

    An engine that was told something out of the ordinary may fail for that alone.
    """
    latest = {each.question: each for each in found}  # in the order of time
    return [each for each in latest.values() if each.failed is not None and not each.options]

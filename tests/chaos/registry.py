"""Faults: each has a name, a seed and counters, and can be brought about alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.ground import Ground

FAMILIES = ("processes", "kills", "disk", "network", "untrusted", "secrets", "input", "load")
"""In the order in which they run and are shown."""


class Missed(AssertionError):  # noqa: N818 - reads as what happened
    """The harness did not do what it must under this fault; the message says what."""


def expect(condition: object, complaint: str) -> None:
    """Demand something of the harness.

    Raises:
        Missed: it does not hold.
    """
    if not condition:
        raise Missed(complaint)


@dataclass(slots=True)
class Tally:
    """What one scenario counted. Everything but ``injected`` and ``survived`` has to stay zero."""

    injected: int = 0
    survived: int = 0
    lost: int = 0
    """Finished results that are not on record, or twice."""
    orphans: int = 0
    """Processes, scratch folders and half environments that were left behind."""
    leaked: int = 0
    """Secrets that were written down."""
    tracebacks: int = 0
    escaped: int = 0
    """Writes and connections outside what was allowed."""
    complaints: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    """Measurements, in words, for the table."""

    @contextmanager
    def injection(self, what: str) -> Iterator[None]:
        """One fault: survived when the block ends without a complaint."""
        self.injected += 1
        try:
            yield
        except Missed as missed:
            self.complaints.append(f"{what}: {missed}")
        else:
            self.survived += 1

    def good(self) -> bool:
        """Whether every fault was survived and nothing was counted that must not be."""
        bad = self.lost + self.orphans + self.leaked + self.tracebacks + self.escaped
        return self.injected > 0 and self.survived == self.injected and not bad


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scenario is given."""

    ground: Ground
    random: random.Random
    quick: bool

    def times(self, full: int, quick: int) -> int:
        """How often, in this run of the suite."""
        return quick if self.quick else full


Scenario = Callable[[Setting, Tally], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A scenario under its name."""

    family: str
    name: str
    what: str
    """One line for the table: what is done to the harness."""
    scenario: Scenario

    @property
    def identity(self) -> str:
        """Family and name."""
        return f"{self.family}/{self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fault that was brought about."""

    fault: Fault
    seed: int
    tally: Tally
    seconds: float


_FAULTS: dict[str, Fault] = {}


def fault(family: str, name: str, what: str) -> Callable[[Scenario], Scenario]:
    """Register the function below as a scenario."""

    def register(scenario: Scenario) -> Scenario:
        made = Fault(family, name, what, scenario)
        if family not in FAMILIES or made.identity in _FAULTS:
            raise ValueError(f"{made.identity}: unknown family or a name that is taken")
        _FAULTS[made.identity] = made
        return scenario

    return register


def all_faults() -> list[Fault]:
    """Every registered fault, family by family."""
    return sorted(_FAULTS.values(), key=lambda each: FAMILIES.index(each.family))


def bring_about(chosen: Fault, ground: Ground, seed: int, *, quick: bool) -> Outcome:
    """Run one scenario with numbers drawn from its name and the seed, so that it can be repeated alone."""
    tally = Tally()
    started = time.monotonic()
    chance = random.Random(f"{seed} {chosen.identity}")  # noqa: S311 - repeatable
    try:
        chosen.scenario(Setting(ground, chance, quick), tally)
    except Missed as missed:  # before or after the faults themselves
        tally.injected += 1
        tally.complaints.append(str(missed))
    return Outcome(chosen, seed, tally, time.monotonic() - started)

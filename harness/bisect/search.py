"""The search itself: from a green and a red stack to the changes that turn the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from harness.bisect.changes import Mixer, PackageChange, changes_between
from harness.bisect.coupling import Coupling
from harness.bisect.ddmin import TrialOutcome, bound_at_worst, bound_for_one, ddmin
from harness.core.errors import ExitCode, HarnessError
from harness.core.verdict import Stage, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from harness.bisect.coupling import Requirements
    from harness.environments.lock import Lock


class NothingTurns(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the two ends
    """The two ends cannot be told apart by a verdict; the message says why."""

    exit_code = ExitCode.UNEXPECTED


class Verdicts(Protocol):
    """Gives the verdict of a stack; see :class:`harness.bisect.trial.Trials`."""

    run: int
    known: int

    def verdict(self, lock: Lock, *, keep: bool = False) -> Verdict:
        """How a trial with the lock ends."""

    def stop_after(self, stage: Stage | None) -> None:
        """Nothing above that stage is asked any more."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial."""

    moved: tuple[str, ...]
    outcome: TrialOutcome
    verdict: str
    declared: bool = True
    """False: tried against what the packages declare."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """What was found."""

    changes: Mapping[str, PackageChange]
    """All that differs."""
    cause: Sequence[str]
    """The change that breaks it; several where only all of them together do."""
    along: Mapping[str, str]
    """Changes that come with the cause because of what packages declare, each with the requirement that says so."""
    alone: bool | None
    """Whether the cause breaks it without those, against what is declared; None: nothing comes along, or not tried."""
    green: str
    red: str
    trials: Sequence[Tried]
    trials_run: int
    """Stacks that were really installed and tried, both ends included."""
    known: int
    """Trials answered from earlier ones."""

    @property
    def unresolved(self) -> int:
        """Trials that failed in another way."""
        return sum(each.outcome is TrialOutcome.UNRESOLVED for each in self.trials if each.declared)

    @property
    def tests(self) -> int:
        """Distinct stacks that delta debugging asked for, both ends apart."""
        return sum(each.declared for each in self.trials)

    @property
    def bounds(self) -> tuple[int, int]:
        """Delta debugging's own bounds: for a single cause, and at worst."""
        return bound_for_one(len(self.changes)), bound_at_worst(len(self.changes))

    def sentence(self) -> str:
        """``pydantic 2.12.5 → 2.13.0 breaks it``, and what comes with it."""
        named = " with ".join(str(self.changes[name]) for name in self.cause)
        told = f"{named} {'breaks' if len(self.cause) == 1 else 'break'} it: {self.red}"
        if self.along:
            told += f"\n  comes with it: {', '.join(str(self.changes[name]) for name in self.along)}"
            told += "".join(f"\n    {said}" for said in dict.fromkeys(self.along.values()))
        if self.alone:
            told += "\n  alone, against what the packages declare, it breaks it just so"
        return told


@dataclass(slots=True)
class Search:
    """One bisection."""

    green: Lock
    red: Lock
    trials: Verdicts
    needs: Callable[[Lock], Requirements]
    """Reads what a stack's packages require; asked of the two ends only, after they were tried."""
    said: Callable[[Tried], None] = lambda _tried: None
    told: Callable[[str], None] = lambda _text: None
    """Hears how both ends came out."""
    _told: dict[str, TrialOutcome] = field(default_factory=dict)
    _log: list[Tried] = field(default_factory=list)

    def run(self) -> Culprit:
        """Find the culprit.

        Raises:
            NothingTurns: the ends are the same stack, or one of them is not the colour it is said to be.
            TrialBroken: a trial could not be finished, for no fault of the versions.
            InvalidLock: a lock cannot be read or mixed.
        """
        changes = changes_between(self.green, self.red)
        if not changes:
            raise NothingTurns("the two locks hold the same packages in the same versions: nothing moved")
        mixer = Mixer.of(self.green, self.red)
        self.told(f"{len(changes)} packages moved; trying the red end")
        red = self.trials.verdict(self.red, keep=True)
        if red.status is not Status.FAIL:
            raise NothingTurns(
                f"the red end does not fail: {red}; {len(changes)} packages moved and it still gets there"
            )
        self.trials.stop_after(red.stage)
        self.told(f"red end: {red}; trying the green end")
        green = self.trials.verdict(self.green, keep=True)
        if _outcome(green, red) is not TrialOutcome.GREEN:
            raise NothingTurns(f"the green end fails, too: {green}; nothing turned between the two")
        self.told(f"green end: {green}; trying stacks between the two")
        coupling = Coupling.of(changes, self.needs(self.green), self.needs(self.red))
        everything = frozenset(changes)
        self._told = {mixer.mix(everything).name: TrialOutcome.RED, mixer.mix(()).name: TrialOutcome.GREEN}

        def test(moved: Collection[str]) -> TrialOutcome:
            return self._test(mixer, coupling.closed(moved), red)

        found = coupling.closed(ddmin(coupling.ordered(), test))
        found = _shrunk(found, coupling, test)
        cause = _cause(found, coupling, red)
        along = coupling.reasons(found, cause[0]) if len(cause) == 1 else {}
        alone = self._alone(mixer, cause[0], red) if len(cause) == 1 and along else None
        return Culprit(
            changes, cause, along, alone, str(green), str(red), self._log, self.trials.run, self.trials.known
        )

    def _test(self, mixer: Mixer, moved: frozenset[str], red: Verdict, *, declared: bool = True) -> TrialOutcome:
        lock = mixer.mix(moved)
        if lock.name not in self._told:
            verdict = self.trials.verdict(lock)
            outcome = _outcome(verdict, red)
            self._told[lock.name] = outcome
            tried = Tried(tuple(sorted(moved)), outcome, str(verdict), declared)
            self._log.append(tried)
            self.said(tried)
        return self._told[lock.name]

    def _alone(self, mixer: Mixer, name: str, red: Verdict) -> bool:
        """Whether that change breaks it with everything else green, whatever is declared."""
        return self._test(mixer, frozenset({name}), red, declared=False) is TrialOutcome.RED


def _outcome(verdict: Verdict, red: Verdict) -> TrialOutcome:
    """Green only when the stage was passed on which the red end fails; the same failure is red, any other neither."""
    if verdict == red:
        return TrialOutcome.RED
    if red.stage is None or (verdict.status is Status.PASS and verdict.stage is None):
        return TrialOutcome.GREEN if verdict.status is Status.PASS else TrialOutcome.UNRESOLVED
    if verdict.stage is None:
        return TrialOutcome.UNRESOLVED
    beyond = verdict.stage.position > red.stage.position
    passed = verdict.status is Status.PASS and verdict.stage.position >= red.stage.position
    return TrialOutcome.GREEN if beyond or passed else TrialOutcome.UNRESOLVED


def _shrunk(
    found: frozenset[str], coupling: Coupling, test: Callable[[Collection[str]], TrialOutcome]
) -> frozenset[str]:
    """The smallest red set within ``found``: what it brings along may be to blame without what brings it.

    The largest parts that can be had without some change are tried. Where they are green, everything smaller lies
    within a green stack, so nothing more is tried; where it cannot be told, every other part is tried as well.
    """
    while True:
        parts = sorted({coupling.without(found, name) for name in found} - {frozenset()}, key=sorted)
        largest = [part for part in parts if not any(part < other for other in parts)]
        told = {part: test(part) for part in largest}
        if TrialOutcome.UNRESOLVED in told.values() and TrialOutcome.RED not in told.values():
            told |= {part: test(part) for part in parts if part not in told}
        red = next((part for part, outcome in told.items() if outcome is TrialOutcome.RED), None)
        if red is None:
            return found
        found = coupling.closed(ddmin([name for name in coupling.ordered() if name in red], test))


def _cause(found: frozenset[str], coupling: Coupling, red: Verdict) -> list[str]:
    """The change that brings the whole set along: best the one that the failure names; all of it where none does."""
    leads = [name for name in sorted(found) if coupling.closed([name]) == found]
    named = [name for name in leads if red.detail.split(".")[0].replace("_", "-") == name]
    own = [name for name in leads if all(said.startswith(f"{name} ") for said in coupling.along[name].values())]
    best = (named or own or leads)[:1]
    return best or sorted(found)

"""The two stacks of a comparison: the one that the baseline was accepted with, and the very same after the change.

An undated combination is resolved as on the day of its acceptance, so that what appeared on the index since then is
not taken for the change. After the change everything stays at the version it had, unless the change demands another.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.core.verdict import Stage, Status, Verdict
from harness.environments.interpreters import NoInterpreter
from harness.matrix.deployed import Deployed
from harness.pipeline.stack import ask, stack_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from packaging.version import Version

    from harness.environments.lock import Lock
    from harness.environments.resolve import Resolution
    from harness.environments.uv import UvFailure
    from harness.gate.baseline import Baseline
    from harness.matrix import Combination
    from harness.session.session import Session


@dataclass(frozen=True, slots=True)
class LockedCombination:
    """A combination, dated, with its lock."""

    combination: Combination
    lock: Lock | None
    """None: there is none, or nobody could tell."""
    trouble: UvFailure | None = None
    """Why nobody could tell."""

    @property
    def held(self) -> Mapping[str, str]:
        """Packages to versions; empty without a lock."""
        return self.lock.stack if self.lock is not None else {}

    def version_of(self, package: str) -> str | None:
        """The version that the stack holds."""
        return self.held.get(package)


def stacks_before(session: Session, chosen: Sequence[Combination], baseline: Baseline) -> dict[str, LockedCombination]:
    """The stack of each combination as it was accepted, by id; nothing is installed."""
    asked = [each for each in chosen if each.excluded is None and not _never_resolved(each.id, baseline)]
    dated = {each.id: replace(each, as_of=each.as_of or baseline.day_of(each.id)) for each in asked}
    found = _resolved(session, dated.values())
    undatable = [  # an index that tells no dates has nothing as of a day
        each for each in asked if each.as_of is None and _refused(found[stack_key(dated[each.id])])
    ]
    found |= _resolved(session, undatable)
    dated |= {each.id: each for each in undatable}
    return {each.id: _stack(dated.get(each.id, each), found) for each in chosen}


def stacks_after(
    session: Session,
    before: Mapping[str, LockedCombination],
    made: Mapping[str, Callable[[date | None], Combination]],
    goals: Mapping[str, Mapping[str, Goal]],
) -> dict[str, LockedCombination]:
    """What becomes of each stack, by the id of the combination before.

    Args:
        session: gives locks.
        before: the stacks as they were.
        made: makes the combination after the change as of a day, by the same id.
        goals: where each goes, package by package.
    """
    first = {name: make(_day(before[name], goals[name])) for name, make in made.items()}
    first = {name: _keeping(each, before[name], goals[name]) for name, each in first.items()}
    found = _resolved(session, first.values())
    today = datetime.now(UTC).date()
    late = {  # the new version may need something that appeared after it
        name: _keeping(made[name](today), before[name], goals[name])
        for name, each in first.items()
        if each.as_of is not None and _refused(found[stack_key(each)])
    }
    found |= _resolved(session, late.values())
    better = {name: each for name, each in late.items() if not _refused(found[stack_key(each)])}
    return {name: _stack(each, found) for name, each in (first | better).items()}


def moves(before: LockedCombination, after: LockedCombination) -> list[str]:
    """Every package that is not what it was, ``pydantic 2.12.5 → 2.13.0``."""
    if before.lock is None or after.lock is None:
        return []
    old, new = before.lock.stack, after.lock.stack
    return [
        f"{name} {old.get(name, 'absent')} → {new.get(name, 'absent')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a package goes."""

    version: Version
    since: date | None
    """The day on which the version appeared, where the index tells."""


def moved_to(combination: Combination, goals: Mapping[str, Goal]) -> Combination:
    """The combination with packages at those versions, under an id that says so."""
    if not goals:
        return combination
    words = "-".join(f"{name}{goal.version}" for name, goal in list(goals.items())[:3])
    more = f"-and-{len(goals) - 3}-more" if len(goals) > 3 else ""  # noqa: PLR2004 - as many as stand in words
    wanted = {name: f"{name}=={goal.version}" for name, goal in goals.items()}
    if combination.complete:
        whole = Deployed(combination.requirements, complete=True).moved(wanted)
        combination = replace(combination, requirements=whole.requirements, kept=whole.kept, complete=False)
    overridden = {name for each in combination.overrides if (name := _name(each)) in goals}
    return replace(
        combination,
        id=f"{combination.id}-with-{words}{more}",
        requirements=(*_without_pins(combination.requirements, goals), *wanted.values()),
        overrides=tuple(
            wanted[name] if (name := _name(each)) in overridden else each for each in combination.overrides
        ),
    )


def _without_pins(requirements: Iterable[str], goals: Mapping[str, Goal]) -> Iterable[str]:
    """Requirements less the exact pins of what moves: those are what is bumped."""
    return (each for each in requirements if not ("==" in each and _name(each) in goals))


def _name(requirement: str) -> str:
    try:
        return str(canonicalize_name(Requirement(requirement).name))
    except InvalidRequirement:
        return requirement


def _never_resolved(name: str, baseline: Baseline) -> bool:
    known = baseline.combinations.get(name)
    verdict = Verdict.parse(known.verdict) if known is not None else None
    return verdict is not None and verdict.status is Status.FAIL and verdict.stage is Stage.RESOLVE


def _day(before: LockedCombination, goals: Mapping[str, Goal]) -> date | None:
    """The stack's own day, or the first one after it on which everything that it goes to exists."""
    day = before.combination.as_of
    return None if day is None else max([day, *(each.since for each in goals.values() if each.since is not None)])


def _keeping(combination: Combination, before: LockedCombination, goals: Mapping[str, Goal]) -> Combination:
    held = before.held.items()
    return replace(combination, kept=tuple(f"{name}=={version}" for name, version in held if name not in goals))


def _resolved(session: Session, combinations: Iterable[Combination]) -> dict[str, Resolution | None]:
    """What uv says of each distinct question, by its key; None: this machine has no such Python."""
    distinct = {stack_key(each): each for each in combinations}

    def asked(combination: Combination) -> Resolution | None:
        try:
            return ask(combination, session.resolver)
        except NoInterpreter:
            return None

    with ThreadPoolExecutor(session.workers) as pool:
        return dict(zip(distinct, pool.map(asked, distinct.values()), strict=True))


def _refused(resolution: Resolution | None) -> bool:
    return resolution is not None and resolution.failure is not None and resolution.failure.of_versions


def _stack(combination: Combination, found: Mapping[str, Resolution | None]) -> LockedCombination:
    resolution = found.get(stack_key(combination))
    if resolution is None:
        return LockedCombination(combination, None)
    failure = resolution.failure
    return LockedCombination(
        combination, resolution.lock, failure if failure is not None and not failure.of_versions else None
    )

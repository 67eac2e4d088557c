"""Which combinations a change touches, and what each of them becomes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.environments.interpreters import NoInterpreter
from harness.gate.baseline import asks_of
from harness.gate.change import AXES, Bump, UnusableChange
from harness.matrix import expand, load_matrix
from harness.matrix.versions import VersionRule
from harness.pipeline.stack import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.gate.baseline import Baseline
    from harness.matrix import Combination, Matrix, Releases
    from harness.matrix.deployed import LockReader
    from harness.matrix.models import ModelSpec
    from harness.session.session import Session

_NOBODY = "0"
"""A version of lmdeploy for the axes of a matrix of which only an include is wanted."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One comparison: a combination of the baseline, and what is run instead of it."""

    reference: str
    """Id in the baseline and, unless it is gone, in the matrix."""
    combination: Combination | None
    """None: the matrix does not have it any more."""

    @property
    def id(self) -> str:
        """Of what is run; the reference's where nothing is."""
        return self.combination.id if self.combination is not None else self.reference


def changed_in_matrix(combinations: Sequence[Combination], baseline: Baseline) -> list[Candidate]:
    """Combinations that the baseline does not have, has otherwise, or has and the matrix has not."""
    found = []
    for combination in combinations:
        known = baseline.combinations.get(combination.id)
        if known is None or known.asks != asks_of(combination):
            found.append(Candidate(combination.id, combination))
    present = {each.id for each in combinations}
    return found + [Candidate(name, None) for name in baseline.combinations if name not in present]


def bumped(
    session: Session, chosen: Sequence[Combination], bumps: Sequence[Bump], releases: Releases
) -> list[Candidate]:
    """What the bumps make of each chosen combination that they touch.

    Raises:
        UnusableChange: no release fits a bump's range.
        IndexUnavailable: a range needs the index, which cannot be reached.
        UvFailure: the resolver cannot be asked whether a stack holds a bumped package.
    """
    axes = {bump.package: _version_of(bump, releases) for bump in bumps if bump.package in AXES}
    moved = {
        each.id: target
        for each in _standing_together([each for each in chosen if each.excluded is None], bumps)
        if (target := _target(each, axes, bumps)) is not None
    }
    matrix = load_matrix(session.project.matrix_file)
    remade = _Remaking(matrix, session.models, releases, session.lock_files)
    others = [bump for bump in bumps if bump.package not in AXES]
    holding = _holding(session, [each for each in chosen if each.excluded is None], others) if others else {}
    found = []
    for combination in chosen:
        target, more = moved.get(combination.id), holding.get(combination.id, [])
        if target is None and not more:
            continue
        now = remade.moved(combination, target) if target is not None else combination
        found.append(Candidate(combination.id, _with(now, more)))
    return found


def _version_of(bump: Bump, releases: Releases) -> Version:
    if bump.exact is not None:
        return bump.exact
    known = VersionRule.parse(f"latest {bump.wanted}").expand(releases.versions(bump.package, None))
    if not known:
        raise UnusableChange(f"no release of {bump.package} is in the range {bump.wanted}")
    return known[-1]


def _standing_together(chosen: Sequence[Combination], bumps: Sequence[Bump]) -> Sequence[Combination]:
    """Those that stand where all of several bumps come from, as the project does that is bumped; all if there are none.

    Otherwise a change of lmdeploy and transformers together would also try each of them with what it never met.
    """
    told = [bump for bump in bumps if bump.package in AXES and bump.before is not None]
    together = [
        each for each in chosen if all(_was(bump.before or "", Version(getattr(each, bump.package))) for bump in told)
    ]
    return together if len(told) > 1 and together else chosen


def _target(combination: Combination, axes: Mapping[str, Version], bumps: Sequence[Bump]) -> dict[str, Version] | None:
    """The versions a combination moves to; None when it stays where it is.

    A bump that tells where it comes from touches what stands there, if anything does; any other bump touches all that
    stand elsewhere.
    """
    target: dict[str, Version] = {}
    for bump in bumps:
        if bump.package not in axes:
            continue
        here = Version(getattr(combination, bump.package))
        if bump.before is not None and not _was(bump.before, here):
            continue
        if here != axes[bump.package]:
            target[bump.package] = axes[bump.package]
    return target or None


def _was(before: str, here: Version) -> bool:
    rule = VersionRule.parse(before)
    return rule.exact == here if rule.exact is not None else here in rule.bounds


class _Remaking:
    """Makes combinations anew through the matrix, so that its rules for the new versions apply."""

    def __init__(self, matrix: Matrix, models: Mapping[str, ModelSpec], releases: Releases, locks: LockReader) -> None:
        self._models = models
        self._releases = releases
        self._parts = [matrix.model_copy(update={"include": ()})]
        self._locks = locks
        self._parts += [matrix.model_copy(update={"axes": None, "include": (entry,)}) for entry in matrix.include]
        self._home = {each.id: part for part in reversed(self._parts) for each in expand(part, models, releases, locks)}
        # reversed: of what stands both in the axes and in an include, the axes' part would win; the include says more
        for part in self._parts[1:]:
            self._home |= {each.id: part for each in expand(part, models, releases, locks)}

    def moved(self, combination: Combination, target: Mapping[str, Version]) -> Combination:
        """The combination at other versions, with everything the matrix says of those."""
        part = self._home[combination.id]
        versions = {name: (str(version),) for name, version in target.items()}
        day = self._day(combination, target)
        if len(part.include) == 1:
            entry = part.include[0].model_copy(update={**versions, "as_of": day})
            entry.model_fields_set.add("as_of")
            part = part.model_copy(update={"include": (entry,)})
        else:
            axes = part.axes.model_copy(update=versions) if part.axes is not None else None
            part = part.model_copy(update={"axes": axes, "as_of": day})
        wanted = replace(combination, as_of=day, **{name: str(version) for name, version in target.items()})  # type: ignore[arg-type]  # names of version axes
        for each in expand(part, self._models, self._releases, self._locks):
            if each.axes == wanted.axes:
                return each
        raise AssertionError(f"{combination.id} is not in its own part of the matrix")

    def _day(self, combination: Combination, target: Mapping[str, Version]) -> date | None:
        """The combination's date, or the first one after it on which the new versions exist; None: today."""
        day = combination.as_of
        if day is None or self._exist(target, day):
            return day
        first, last = day, datetime.now(UTC).date()
        if not self._exist(target, last):
            return day  # then the resolver says that there is no such version
        while (last - first).days > 1:
            middle = first + timedelta(days=(last - first).days // 2)
            first, last = (first, middle) if self._exist(target, middle) else (middle, last)
        return last

    def _exist(self, target: Mapping[str, Version], day: date) -> bool:
        return all(version in self._releases.versions(name, day) for name, version in target.items())


def _holding(session: Session, combinations: Sequence[Combination], bumps: Sequence[Bump]) -> dict[str, list[Bump]]:
    """Which bumps move a package of which stack; nothing is installed.

    Raises:
        UvFailure: the resolver could not be asked.
    """

    def touching(combination: Combination) -> list[Bump]:
        try:
            lock = resolve(combination, session.resolver).lock
        except NoInterpreter:
            return []
        stack = lock.stack if lock is not None else {}
        return [bump for bump in bumps if bump.package in stack and stack[bump.package] not in bump.wanted]

    with ThreadPoolExecutor(session.workers) as pool:
        found = list(pool.map(touching, combinations))
    return {each.id: bumps for each, bumps in zip(combinations, found, strict=True) if bumps}


def _with(combination: Combination, bumps: Sequence[Bump]) -> Combination:
    """The combination with further requirements, under an id that says so."""
    if not bumps:
        return combination
    words = "-".join(f"{bump.package}{bump.exact or 'moved'}" for bump in bumps[:3])
    more = f"-and-{len(bumps) - 3}-more" if len(bumps) > 3 else ""  # noqa: PLR2004 - as many as stand in words
    return replace(
        combination,
        id=f"{combination.id}-with-{words}{more}",
        requirements=(*combination.requirements, *(bump.requirement for bump in bumps)),
    )

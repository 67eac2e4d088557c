"""Which combinations a change touches, and what each of them becomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.gate.baseline import asks_of
from harness.gate.change import AXES, Bump, UnusableChange
from harness.gate.stacks import Goal, moved_to, moves, stacks_after
from harness.matrix import MatrixError, expand, load_matrix
from harness.matrix.versions import VersionRule, no_such_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from harness.gate.baseline import Baseline
    from harness.gate.stacks import LockedCombination
    from harness.index.package_index import PackageIndex
    from harness.matrix import Combination, Matrix, Releases
    from harness.session.session import Session


@dataclass(frozen=True, slots=True)
class Candidate:
    """One comparison: a combination of the baseline, and what is run instead of it."""

    reference: str
    """Id in the baseline and, unless it is gone, in the matrix."""
    combination: Combination | None
    """None: the matrix does not have it any more."""
    moved: tuple[str, ...] = ()
    """Every package of its stack that is not what it was."""
    control: Combination | None = None
    """The same without the change; None: there is no such thing."""

    @property
    def id(self) -> str:
        """Of what is run; the reference's where nothing is."""
        return self.combination.id if self.combination is not None else self.reference


@dataclass(slots=True)
class Touched:
    """What the bumps touch, and what they do not."""

    candidates: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """A line for each bump that does not touch every stack."""


def changed_in_matrix(combinations: Sequence[Combination], baseline: Baseline) -> list[Candidate]:
    """Combinations that the baseline does not have, has otherwise, or has and the matrix has not."""
    found = []
    for combination in combinations:
        known = baseline.combinations.get(combination.id)
        if known is None or known.asks != asks_of(combination):
            found.append(Candidate(combination.id, combination))
    present = {each.id for each in combinations}
    return found + [Candidate(name, None) for name in baseline.combinations if name not in present]


def locks_changed(combinations: Sequence[Combination], baseline: Baseline, bumps: Sequence[Bump]) -> list[Candidate]:
    """Combinations of the project's own locks that say something else than the baseline: the locks of the change.

    Where the change moves lmdeploy or transformers, the id in the baseline is the one with the versions of before.
    """
    found = []
    for combination in combinations:
        name = combination.id
        for bump in bumps:
            if bump.package in AXES and bump.before is not None and name not in baseline.combinations:
                here = getattr(combination, bump.package)
                name = name.replace(f"{bump.package}{here}-", f"{bump.package}{bump.before}-", 1)
        known = baseline.combinations.get(name)
        if combination.lock and (known is None or known.asks != asks_of(combination)):
            pinned = set(combination.requirements)
            moved = [
                f"{each.package} {each.before} → {each.exact}"
                for each in bumps
                if f"{each.package}=={each.exact}" in pinned
            ]
            reference = name if known is not None else combination.id
            found.append(Candidate(reference, combination, tuple(moved)))
    return found


def bumped(
    session: Session,
    matrix: AcceptedMatrix,
    before: Mapping[str, LockedCombination],
    bumps: Sequence[Bump],
    index: PackageIndex,
) -> Touched:
    """What the bumps make of each combination whose stack held what is bumped.

    Args:
        session: gives locks.
        matrix: makes the combinations at other versions.
        before: the stacks as they were accepted, by id.
        bumps: the change.
        index: tells which versions there are, and since when.

    Raises:
        UnusableChange: a version does not exist, or no release is in a range.
        IndexUnavailable: the index cannot be asked.
        UvFailure: the resolver cannot be asked whether a stack holds a bumped package.
    """
    held = {name for each in before.values() for name in each.held}
    asked = [bump for bump in bumps if bump.package in {*AXES, *held} or not bump.file]
    aims = [(bump, _goal_of(bump, index)) for bump in asked]
    together = _standing_together(before, asked)
    goals = {name: found for name, stack in before.items() if (found := _goals_of(stack, aims, name in together))}
    made = {name: _maker(before[name].combination, matrix, found) for name, found in goals.items()}
    after = stacks_after(session, before, made, goals)
    touched = Touched()
    for name, stack in after.items():
        told = tuple(moves(before[name], stack))
        touched.candidates.append(Candidate(name, stack.combination, told, before[name].combination))
    touched.notes = list(_notes(bumps, before, goals))
    return touched


def _goal_of(bump: Bump, index: PackageIndex) -> Goal:
    """The version that the bump means: the one it names, or the newest of its range."""
    if bump.exact is None:
        releases = index.versions(bump.package, None)
        fitting = VersionRule.parse(f"latest {bump.wanted}").expand(releases)
        if not fitting:
            newest = f"; the newest is {releases[-1]}" if releases else ""
            raise UnusableChange(f"no release of {bump.package} is in the range {bump.wanted}{newest}")
        return Goal(fitting[-1], index.day_of(bump.package, fitting[-1]))
    known = index.every_version(bump.package)
    for version in (bump.exact, Version(bump.exact.public)):  # 2.9.0+cu128 is 2.9.0 where no such build is
        if version in known:
            return Goal(version, index.day_of(bump.package, version))
    place = f"{bump.file}:{bump.line}: " if bump.file else ""
    raise UnusableChange(place + no_such_version(bump.package, bump.exact, known))


def _standing_together(before: Mapping[str, LockedCombination], bumps: Sequence[Bump]) -> set[str]:
    """Those that stand where all of several bumps come from, as the project does that is bumped; all if there are none.

    Otherwise a change of lmdeploy and transformers together would also try each of them with what it never met.
    """
    told = [bump for bump in bumps if bump.package in AXES and bump.before is not None]
    together = {
        name
        for name, stack in before.items()
        if all(bump.comes_from(_here(stack, bump.package) or _NONE) for bump in told)
    }
    return together if len({bump.package for bump in told}) > 1 and together else set(before)


_NONE = Version("0")


def _here(stack: LockedCombination, package: str) -> Version | None:
    """The version at which the stack holds a package.

    Raises:
        UvFailure: nobody could tell.
    """
    if package in AXES:
        return Version(getattr(stack.combination, package))
    if stack.trouble is not None:
        raise stack.trouble
    text = stack.version_of(package)
    return Version(text) if text is not None else None


def _goals_of(stack: LockedCombination, aims: Sequence[tuple[Bump, Goal]], together: bool) -> dict[str, Goal]:
    """Where the packages of a stack go; empty when it stays as it is."""
    found: dict[str, Goal] = {}
    if stack.combination.excluded is not None:
        return found
    for bump, goal in aims:
        here = _here(stack, bump.package)
        if here is None or not bump.comes_from(here) or (bump.package in AXES and not together):
            continue
        known = found.get(bump.package)
        if _moves(bump, here, goal.version) and (known is None or known.version < goal.version):
            found[bump.package] = goal
    return found


def _moves(bump: Bump, here: Version, goal: Version) -> bool:
    """Whether a package goes there from ``here``: it must, or a range now lets in what it did not."""
    if goal == here or goal.public == here.public:
        return False
    if not bump.wanted.contains(here, prereleases=True):
        return True
    return bump.exact is None and bump.before is not None and not bump.comes_from(goal)


def _maker(
    combination: Combination, matrix: AcceptedMatrix, goals: Mapping[str, Goal]
) -> Callable[[date | None], Combination]:
    """Makes the combination after the change as of a day."""
    axes = {name: goal.version for name, goal in goals.items() if name in AXES}
    others = {name: goal for name, goal in goals.items() if name not in AXES}

    def make(day: date | None) -> Combination:
        now = matrix.moved(combination, axes, day) if axes else combination
        return moved_to(replace(now, as_of=day), others)

    return make


def _notes(
    bumps: Sequence[Bump], before: Mapping[str, LockedCombination], goals: Mapping[str, Mapping[str, Goal]]
) -> Iterable[str]:
    """What is not touched, and why."""
    absent = []
    for package in dict.fromkeys(bump.package for bump in bumps):
        others = Counter(
            here
            for name, stack in before.items()
            if stack.combination.excluded is None
            and package not in goals.get(name, ())
            and (here := _here(stack, package)) is not None
        )
        if others:
            held = ", ".join(f"{version} ({count})" for version, count in sorted(others.items(), reverse=True))
            yield f"{package}: not touched are the combinations that hold {held}"
        elif not any(package in each for each in goals.values()):
            absent.append(package)
    if absent:
        yield f"in no stack of the matrix: {', '.join(absent)}"


class AcceptedMatrix:
    """The matrix with its version rules as they were when the baseline was accepted: ``latest`` moves on, it does not.

    It makes combinations anew at other versions, so that the matrix's rules for those apply.
    """

    def __init__(self, session: Session, baseline: Baseline, index: Releases) -> None:
        self._models = session.models
        self._locks = session.lock_files
        matrix = load_matrix(session.project.matrix_file)
        found: dict[str, tuple[Combination, Matrix, Releases]] = {}
        days = {baseline.day_of(name) for name in baseline.combinations}
        for day in [None, *sorted(day for day in days if day is not None)]:
            releases = _AsOf(index, day)
            try:
                # of what stands both in the axes and in an include, the include says more, and comes later
                for part in _parts(matrix):
                    made = expand(part, self._models, releases, self._locks)
                    found |= {each.id: (each, part, releases) for each in made}
            except MatrixError:
                if day is None:
                    raise
                continue  # an index that tells no dates has no release of that day
        self._home = {name: each for name, each in found.items() if name in baseline.combinations}

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """Those of the baseline that the matrix still makes."""
        return tuple(each for each, _, _ in self._home.values())

    def moved(self, combination: Combination, goal: Mapping[str, Version], day: date | None) -> Combination:
        """The combination at other versions and, if it is dated, as of another day, as the matrix has it there."""
        _, part, releases = self._home[combination.id]
        versions = {name: (str(version),) for name, version in goal.items()}
        if len(part.include) == 1:
            entry = part.include[0]
            dated = entry.as_of if "as_of" in entry.model_fields_set else part.as_of
            day = day if dated is not None else None
            entry = entry.model_copy(update={**versions, "as_of": day})
            entry.model_fields_set.add("as_of")
            part = part.model_copy(update={"include": (entry,)})
        else:
            day = day if part.as_of is not None else None
            axes = part.axes.model_copy(update=versions) if part.axes is not None else None
            part = part.model_copy(update={"axes": axes, "as_of": day})
        wanted = replace(combination, as_of=day, **{name: str(version) for name, version in goal.items()})  # type: ignore[arg-type]  # names of version axes
        for each in expand(part, self._models, releases, self._locks):
            if each.axes == wanted.axes:
                return each
        raise AssertionError(f"{combination.id} is not in its own part of the matrix")


@dataclass(frozen=True, slots=True)
class _AsOf:
    """Releases as of a day, where a question names none."""

    releases: Releases
    day: date | None

    def versions(self, package: str, as_of: date | None) -> Sequence[Version]:
        """Releases up to the day asked for, or to this one."""
        return self.releases.versions(package, as_of or self.day)


def _parts(matrix: Matrix) -> list[Matrix]:
    """The axes alone, and each include alone."""
    includes = [matrix.model_copy(update={"axes": None, "include": (entry,)}) for entry in matrix.include]
    return [matrix.model_copy(update={"include": ()}), *includes]

"""Which stack to pin: the answer from everything that is known, among the stacks that fit the target."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from harness.core.verdict import Stage
from harness.engines import Backend, configuration_of
from harness.evidence.choice import Choice, Target, choose, conservative, named
from harness.evidence.levels import Level
from harness.evidence.told import level_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.core.records import Record
    from harness.environments.lock import Lock
    from harness.evidence.sources import Sources
    from harness.evidence.stacks import Knowledge, Known

PREFERENCES = ("newest", "conservative", "smallest", "latency")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; None: anything."""

    model: str
    python: str | None = None
    backend: str | None = None
    gpu_memory_gib: float | None = None
    prefer: str | None = None
    """One of :data:`PREFERENCES`; None: as the answer ranks."""
    partial: bool = False
    """Take also what no engine has served anywhere."""


@dataclass(frozen=True, slots=True)
class TestedStack:
    """A stack that can be pinned: what is known of it, the attempt that says the most, and its lock."""

    known: Known
    record: Record
    lock: Lock

    @property
    def name(self) -> str:
        """How a combination of it would be called."""
        known = self.known
        versions = f"lmdeploy{known.lmdeploy}-transformers{known.transformers}"
        day = f"-{known.as_of}" if known.as_of else ""
        return f"{versions}-{known.backend}-{known.subject.name}-py{known.python}{day}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Stacks that were not taken for one and the same reason."""

    MOST_NAMED: ClassVar[int] = 3

    reason: str
    stacks: tuple[str, ...]

    @property
    def words(self) -> str:
        """How many, why, and the first few."""
        more = len(self.stacks) - self.MOST_NAMED
        named_ones = "; ".join(self.stacks[: self.MOST_NAMED])
        return f"{len(self.stacks)}: {self.reason} ({named_ones}{f'; and {more} more' if more > 0 else ''})"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The outcome: the choice, or what came nearest."""

    best: TestedStack | None
    rejected: tuple[Rejected, ...]
    nearest: str = ""
    """Where nothing fits: what came nearest, what stands in the way, and what ``--partial`` would give."""


def choose_stack(sources: Sources, knowledge: Knowledge, wish: Wish) -> Chosen:
    """The stack to pin."""
    target = Target(wish.python, wish.gpu_memory_gib)
    backends = [wish.backend] if wish.backend else knowledge.backends_of(wish.model)
    choices = sorted((choose(knowledge, wish.model, each, target) for each in backends), key=_lead)
    why: dict[str, str] = {}
    best: TestedStack | None = None
    for choice in choices:
        fitting = _fitting(choice, sources, why, partial=wish.partial)
        if fitting:
            best = _preferred(fitting, wish)
            why |= {_told(each.known): "fits as well, ranked lower" for each in fitting if each is not best}
            break
    return Chosen(best, _grouped(why), "" if best is not None else _nearest(sources, knowledge, wish, choices))


def _lead(choice: Choice) -> tuple[object, ...]:
    """LMDeploy's engines before the reference, then the stronger evidence."""
    order = [*map(str, Backend)]
    strength = choice.best.standing if choice.best is not None else (-1, -1)
    place = order.index(choice.backend) if choice.backend in order else len(order)
    return (configuration_of(choice.backend) is None, -strength[0], -strength[1], place)


def _fitting(choice: Choice, sources: Sources, why: dict[str, str], *, partial: bool) -> list[TestedStack]:
    fitting = []
    for known in choice.ranked:
        if known.level is Level.PREDICTED:
            continue  # two versions that nobody has resolved are no stack
        lock = sources.lock(known.lock)
        if known.conflicts:
            why[_told(known)] = "evidence is in conflict: it also fails"
        elif not known.level.served and not partial:
            why[_told(known)] = f"{level_words(known)} only; --partial takes it"
        elif known.best is None or lock is None:
            why[_told(known)] = "its lock was not kept, or is not the one that ran; run it again"
        else:
            fitting.append(TestedStack(known, known.best.sighting.record, lock))
    for known in choice.failing:
        why[_told(known)] = known.against[0].record.verdict if known.against else "nothing speaks for it"
    for known, reason in choice.unfit:
        why[_told(known)] = reason
    return fitting


def _preferred(fitting: Sequence[TestedStack], wish: Wish) -> TestedStack:
    """A preference only decides between stacks that stand equally high."""
    peers = [each for each in fitting if each.known.standing == fitting[0].known.standing]
    if wish.prefer == "newest":
        return max(peers, key=lambda each: each.known.newness)
    if wish.prefer == "conservative":
        oldest = conservative([each.known for each in peers])
        return next(each for each in peers if each.known is oldest)
    if wish.prefer == "smallest":
        return min(peers, key=lambda each: sum(each.lock.download_sizes(each.known.python).values()))
    if wish.prefer == "latency":
        timed = [(latency, place) for place, each in enumerate(peers) if (latency := latency_of(each.record))]
        if timed:
            return peers[min(timed)[1]]
    return peers[0]


def latency_of(record: Record) -> float | None:
    """Seconds of the fastest warm answer of both passes together; None where none was measured or it was not alone."""
    total = 0.0
    for stage in (Stage.SEE, Stage.STRUCTURE):
        facts = next((check.facts for each in record.stages if each.stage is stage for check in each.checks), {})
        told = facts.get(str(stage))
        times = told.get("total_seconds") if isinstance(told, dict) else None
        warm = [each for each in times[1:] if isinstance(each, int | float)] if isinstance(times, list) else []
        if not warm:
            return None
        total += min(warm)
    return total


def _told(known: Known) -> str:
    day = f", as of {known.as_of}" if known.as_of else ""
    return f"{known.backend}: {named(known)}, Python {known.python}{day} ({known.lock or 'no lock'})"


def _grouped(why: dict[str, str]) -> tuple[Rejected, ...]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for stack, reason in why.items():
        groups[reason].append(stack)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Rejected(reason, tuple(stacks)) for reason, stacks in ordered)


def _nearest(sources: Sources, knowledge: Knowledge, wish: Wish, choices: Iterable[Choice]) -> str:
    all_of_them = list(choices)
    nearest = next((each for choice in all_of_them if (each := choice.best)), None)
    if not wish.partial:
        partial = choose_stack(sources, knowledge, replace(wish, partial=True)).best
        if partial is not None:
            return f"With --partial: {_told(partial.known)}, {level_words(partial.known)}."
    if nearest is None:
        unfit = next(((known, reason) for choice in all_of_them for known, reason in choice.unfit), None)
        if unfit is not None:
            return f"Nearest: {_told(unfit[0])}. In the way: {unfit[1]}."
        failing = next((each for choice in all_of_them if (each := choice.nearest)), None)
        if failing is None:
            return f"Nothing is known of {wish.model}; run it, or take over the records of a machine that did."
        verdict = failing.against[0].record.verdict if failing.against else "nothing speaks for it"
        return f"Nearest: {_told(failing)}. In the way: {verdict}."
    return f"Nearest: {_told(nearest)}, {level_words(nearest)}. In the way: its lock was not kept here."

"""Which stack to use: by level, then by what lmdeploy itself declares, then the newest; and why no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.versions import version_key
from harness.evidence.levels import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evidence.sightings import Sighting
    from harness.evidence.stacks import Knowledge, Known
    from harness.evidence.subjects import Subject


@dataclass(frozen=True, slots=True)
class Target:
    """The machine aimed at; None: any."""

    python: str | None = None
    gpu_gib: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the model takes of a card, on a stack."""

    gib: float
    measured: Sighting | None = None
    """The run that measured it, with weights of the model's size; None: an estimate."""
    same_stack: bool = False
    """It was measured on the very stack."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The stacks for a model on a backend, the best first."""

    subject: Subject
    backend: str
    target: Target
    ranked: tuple[Known, ...]
    """Those that fit the target and do not simply fail."""
    failing: tuple[Known, ...]
    """Those that fail, the ones that came furthest first."""
    unfit: tuple[tuple[Known, str], ...] = ()
    """Those that do not fit the target, and why."""
    larger: tuple[Known, ...] = ()
    """Of these, the ones that only want a larger card, and do not simply fail."""

    @property
    def best(self) -> Known | None:
        """The stack to use; None: there is none that anything speaks for."""
        return self.ranked[0] if self.ranked else None

    @property
    def beyond(self) -> Known | None:
        """The stack to use on a larger card than the target's, where nothing fits that one."""
        return self.larger[0] if self.larger and not self.ranked else None

    @property
    def runner_up(self) -> Known | None:
        """The next one with other versions of lmdeploy or transformers."""
        best = self.best or self.beyond
        return next((each for each in self.ranked or self.larger if best is not None and each.pair != best.pair), None)

    @property
    def nearest(self) -> Known | None:
        """What came furthest where nothing is left."""
        return self.failing[0] if self.failing else None


def choose(knowledge: Knowledge, model: str, backend: str, target: Target | None = None) -> Choice:
    """Rank every stack of which something is known."""
    target = target or Target()
    known = knowledge.stacks(model, backend)
    fitting, unfit = [], []
    for each in known:
        why = misfit(knowledge, each, target)
        if why:
            unfit.append((each, why))
        else:
            fitting.append(each)
    ranked = sorted((each for each in fitting if _speaks(each)), key=_merit, reverse=True)
    failing = sorted((each for each in fitting if not _speaks(each)), key=_merit, reverse=True)
    unfit.sort(key=lambda item: _merit(item[0]), reverse=True)
    larger = tuple(each for each, _ in unfit if _speaks(each) and _on_python(each, target))
    return Choice(knowledge.subjects[model], backend, target, tuple(ranked), tuple(failing), tuple(unfit), larger)


def _speaks(known: Known) -> bool:
    return not known.fails and known.level is not Level.NOTHING


def _merit(known: Known) -> tuple[object, ...]:
    """The order of the answer. How many runs speak for a stack counts for nothing."""
    return (known.standing, known.declared is not False, known.newness)


def peers(choice: Choice) -> list[Known]:
    """The best and those that stand exactly as high."""
    best = choice.best or choice.beyond
    ranked = choice.ranked or choice.larger
    return [each for each in ranked if best is not None and each.standing == best.standing]


def conservative(known: Sequence[Known]) -> Known:
    """Of stacks that stand equally high, the one whose versions have been out for longest.

    Where lmdeploy names some of the transformers, one of those. Of one pair: what was tested as it stands, and resolved
    today, first.
    """
    named_ones = [each for each in known if each.declared is not False] or known
    oldest = min(named_ones, key=lambda each: (version_key(each.lmdeploy), version_key(each.transformers))).pair
    return max((each for each in named_ones if each.pair == oldest), key=lambda each: each.newness)


def misfit(knowledge: Knowledge, known: Known, target: Target) -> str:
    """Why a stack is none for the target; empty: it is one."""
    if not _on_python(known, target):
        return f"known for Python {known.python or 'unknown'}, not {target.python}"
    if target.gpu_gib is not None:
        memory = memory_of(knowledge, known)
        if memory is not None and memory.gib > target.gpu_gib:
            how = "took" if memory.measured is not None else "needs by estimate"
            return f"{how} {memory.gib:.1f} GiB of GPU memory; the target has {target.gpu_gib:g} GiB"
    return ""


def _on_python(known: Known, target: Target) -> bool:
    wanted = target.python
    return not wanted or known.python == wanted or known.python.startswith(f"{wanted}.")


def memory_of(knowledge: Knowledge, known: Known) -> Memory | None:
    """GPU memory for the model in question: measured with weights of its size, or the estimate of its spec.

    What a canary took says nothing of a model of two billion parameters. An engine takes as much as it is allowed, so
    of several measurements the least counts.
    """
    subject = known.subject
    tiny = subject.weights == "miniature"  # it is asked for in place of the model whose structure it has
    sized = [
        each
        for each in knowledge.of_model(subject, known.backend)
        if each.peak_mib is not None
        and not tiny
        and each.model in knowledge.subjects
        and knowledge.subjects[each.model].as_large_as(subject)
    ]
    same = [each for each in sized if each.record.lock == known.lock]
    close = same or [each for each in sized if each.lmdeploy == known.lmdeploy] or sized
    if close:
        least = min(close, key=lambda each: (each.peak_mib, each.order))
        return Memory((least.peak_mib or 0) / 1024, least, same_stack=bool(same))
    return Memory(subject.gpu_gib) if subject.gpu_gib is not None else None


def why(choice: Choice) -> str:
    """Why the best and not the next, in one sentence."""
    best, other = choice.best or choice.beyond, choice.runner_up
    if best is None:
        return _why_none(choice)
    if other is None:
        return "the only versions that anything speaks for"
    if best.standing != other.standing:
        return _why_stronger(best, other)
    if other.declared is False and best.declared is not False:
        return (
            f"lmdeploy {other.lmdeploy} does not name transformers {other.transformers} among those it was tried with"
        )
    return "the newest of those with the strongest evidence"


def _why_none(choice: Choice) -> str:
    speaking = [reason for known, reason in choice.unfit if _speaks(known)]
    if speaking:
        return speaking[0]
    if choice.nearest is not None:
        verdicts = [each.record.verdict for each in choice.nearest.against]
        return f"every stack fails; {named(choice.nearest)} came furthest{f': {verdicts[0]}' if verdicts else ''}"
    return "nothing speaks for any stack"


def _why_stronger(best: Known, other: Known) -> str:
    if other.conflicts:
        return f"evidence for {named(other)} is in conflict"
    if best.standing[0] != other.standing[0]:
        return "stronger evidence than for any other versions"
    return "came further than any other"


def named(known: Known) -> str:
    """The versions, in words."""
    return f"lmdeploy {known.lmdeploy} with transformers {known.transformers}"

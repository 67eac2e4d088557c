"""What is known of a stack, in sentences: what was shown on what, what was not, and the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines import ENGINES
from harness.evidence.choice import memory_of, named
from harness.evidence.levels import Level
from harness.evidence.subjects import TINY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.evidence.choice import Choice
    from harness.evidence.sightings import Sighting
    from harness.evidence.stacks import Knowledge, Known, Shown

FIRST_NAMED = ("lmdeploy", "transformers", "torch", "triton", "torchvision", "tokenizers", "numpy")
"""Packages that a sentence names before others."""
MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, and the record it rests on."""

    text: str
    sighting: Sighting | None = None


def level_words(known: Known) -> str:
    """The level, in words."""
    if known.level is Level.CLIMBED:
        return f"passed up to {known.reached}" if known.reached is not None else "not tried"
    if known.level is Level.PREDICTED:
        return "predicted, never run"
    return str(known.level) if known.level is not Level.NOTHING else "nothing speaks for it"


def shown_line(knowledge: Knowledge, known: Known) -> Line:
    """What was shown, with what, on what, when."""
    best = known.best
    if best is None:
        if known.level is Level.PREDICTED:
            return Line("The scan foresees from the wheels' sources that it works; nothing ran.")
        return Line("Nothing speaks for it.")
    sighting = best.sighting
    who = _who(knowledge, known, best)
    day = f"{sighting.record.finished:%Y-%m-%d}"
    if known.level.served:
        where = f" on {sighting.machine}" if sighting.record.machine.gpus else " on a CPU"
        text = f"{who} booted and answered both passes rightly{where}, {day}{_beside(best)}."
    elif known.level is Level.EMULATED:
        text = f"Emulated on a CPU, {day}: the engine computes with {_of(who)} on this lock what transformers computes."
    else:
        text = f"{who} passed up to {sighting.height}, {day}, on a machine with {sighting.machine}."
    return Line(text, sighting)


def larger_card(knowledge: Knowledge, choice: Choice) -> float | None:
    """GiB of the card that the answer wants where nothing fits the target's; None: it fits, or there is no answer."""
    memory = memory_of(knowledge, choice.beyond) if choice.beyond is not None else None
    return round(memory.gib, 1) if memory is not None else None


def room_words(knowledge: Knowledge, choice: Choice) -> str:
    """That the answer wants a larger card, in words; empty: it fits, or there is no answer."""
    gib = larger_card(knowledge, choice)
    return "" if gib is None else f"none fits {choice.target.gpu_gib:g} GiB; with {gib:g} GiB"


def not_shown_line(known: Known) -> str:
    """What nobody has shown of it."""
    best, missing = known.best, []
    engine = ENGINES.get(known.backend)
    if best is None or not known.level.served:
        missing.append("that the engine comes up and answers rightly" + (" on a GPU" if _needs_gpu(known) else ""))
    if known.subject.weights in TINY:
        missing.append("trained weights of the model's size")
    elif best is None or not best.own:
        missing.append(f"{known.subject.title}'s own weights")
    if best is not None and known.level is Level.BESIDE:
        missing.append("exactly these packages together")
    if engine is not None and engine.configuration is None:
        missing.append("LMDeploy's engines, which have no part in this")
    return f"Not shown by any machine: {'; '.join(missing)}." if missing else "Nothing that was asked is left open."


def memory_line(knowledge: Knowledge, known: Known, gpu_gib: float | None) -> Line | None:
    """The memory of the model in question, measured at its size or estimated."""
    if not _needs_gpu(known):
        return None
    memory = memory_of(knowledge, known)
    if memory is None:
        return None
    room = f"; the target has {gpu_gib:g} GiB" if gpu_gib is not None else ""
    if memory.measured is None:
        return Line(f"Memory was not measured with weights of its size; its spec estimates {memory.gib:g} GiB{room}.")
    run = memory.measured
    other = f"with lmdeploy {run.lmdeploy} and transformers {run.transformers}"
    where = "on this stack" if memory.same_stack else other
    allowed = f" when allowed {run.budget_mib / 1024:.1f}" if run.budget_mib else ""
    title = _title(knowledge, run.model)
    return Line(f"{title}, of the same size, took {memory.gib:.1f} GiB of GPU memory{allowed}, {where}{room}.", run)


def conflict_lines(known: Known) -> list[Line]:
    """Failures that stand against what was shown, each with its place."""
    against = [*known.against, *(each for each in known.failures_beside if each not in known.against)]
    return [
        Line(
            f"{'In conflict' if each in known.conflicts else 'Fails' if each in known.against else 'On another lock'}: "
            f"{each.record.verdict} with {each.model} on a machine with {each.machine}, "
            f"{each.record.finished:%Y-%m-%d}.",
            each,
        )
        for each in against
    ]


def differences_words(differences: Mapping[str, str | None]) -> str:
    """The packages that were not the lock's, the telling ones by name."""
    names = sorted(differences, key=lambda name: (_place(name), name))
    told = [f"{name} {_version(differences[name])}" for name in names[:MOST_NAMED]]
    rest = len(names) - len(told)
    return ", ".join(told) + (f" and {rest} more" if rest else "")


def _version(text: str | None) -> str:
    """A wheel that travelled without some of its files is told of in full where it ran."""
    version, gap, _ = (text or "absent").partition(" without ")
    return f"{version} without some of its files" if gap else version


def summary(choice: Choice) -> str:
    """The choice on one line."""
    if choice.best is None:
        nearest = choice.nearest
        return f"no stack; {named(nearest)} came furthest" if nearest is not None else "no stack is known"
    return f"{named(choice.best)}, Python {choice.best.python}: {level_words(choice.best)}"


def _who(knowledge: Knowledge, known: Known, best: Shown) -> str:
    title = _title(knowledge, best.sighting.model)
    itself = best.sighting.model == known.subject.name
    return title if itself else f"{title}, of the architecture of {known.subject.title},"


def _of(who: str) -> str:
    return who.rstrip(",")


def _title(knowledge: Knowledge, model: str) -> str:
    subject = knowledge.subjects.get(model)
    return subject.title if subject is not None else model


def _beside(best: Shown) -> str:
    if not best.differences:
        return ""
    count = len(best.differences)
    what = "the lock's" if best.exact else f"this lock's (that run's own lock is {best.sighting.record.lock})"
    noun = "package that was" if count == 1 else "packages that were"
    return f", beside {count} {noun} not {what}: {differences_words(best.differences)}"


def _place(name: str) -> int:
    return FIRST_NAMED.index(name) if name in FIRST_NAMED else len(FIRST_NAMED)


def _needs_gpu(known: Known) -> bool:
    engine = ENGINES.get(known.backend)
    return engine is not None and engine.needs_gpu

"""The answer a report starts with: which stack to use for a model on a backend, and what was shown of it.

It is the one answer of :mod:`harness.evidence`; here it gets its places in the report and the commands to copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.core.visible import bounded, shown, visible
from harness.engines import configuration_of
from harness.evidence.choice import choose, named, peers, why
from harness.evidence.levels import Level
from harness.evidence.settings import launch_settings
from harness.evidence.told import conflict_lines, larger_card, level_words, memory_line, not_shown_line, shown_line
from harness.report.axes import backend_key
from harness.report.commands import commands_for
from harness.report.model import AnswerLine, Command, Recommendation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.evidence.choice import Choice, Target
    from harness.evidence.sightings import Sighting
    from harness.evidence.stacks import Knowledge, Known
    from harness.evidence.told import Line
    from harness.report.extras import Choice as Wanted

KEY_PACKAGES = (
    "lmdeploy",
    "transformers",
    "torch",
    "triton",
    "tokenizers",
    "huggingface-hub",
    "numpy",
    "qwen-vl-utils",
)
"""The packages that an answer names; the whole stack is a click away."""
MOST_AGAINST = 5
MOST_OF_A_COMMAND = 100_000
"""Characters: a stack by name is long."""
Place = tuple[str, str]
"""Source and id of a combination."""


class Findings(NamedTuple):
    """What answers are made of."""

    knowledge: Knowledge
    target: Target
    places: Mapping[Place, int]
    """Where each combination stands in the report."""
    locks: str
    """Folder of the locks, relative to where the commands are run."""
    lock_files: Mapping[str, str]
    """Locks that are kept elsewhere, by name."""


def choices_of(knowledge: Knowledge, target: Target, asked: Iterable[tuple[str, str]]) -> list[Choice]:
    """The choice for each model and backend."""
    return [choose(knowledge, model, backend, target) for model, backend in asked if model in knowledge.subjects]


def cited(choice: Choice, knowledge: Knowledge) -> list[Sighting]:
    """The records that the answer rests on."""
    known = choice.best or choice.beyond or choice.nearest
    if known is None:
        return []
    lines = [shown_line(knowledge, known), memory_line(knowledge, known, None), *conflict_lines(known)[:MOST_AGAINST]]
    return [line.sighting for line in lines if line is not None and line.sighting is not None]


def answers_of(choices: Sequence[Choice], findings: Findings, wanted: Wanted | None) -> list[Recommendation]:
    """One answer for each choice, the one to lead with first.

    Leading: what the reader wants, if that is said; otherwise LMDeploy's engines before the transformers reference,
    real models before the canary, the stronger evidence first.
    """
    answers = [_answer(each, findings, wanted) for each in choices]
    return sorted(answers, key=lambda answer: _lead(answer, wanted))


def _lead(answer: Recommendation, wanted: Wanted | None) -> tuple[object, ...]:
    is_model = wanted is not None and wanted.model == answer.model
    is_backend = is_model and wanted is not None and wanted.backend == answer.backend
    return (
        not is_model,
        not is_backend,
        answer.level is Level.NOTHING,
        answer.larger_card_gib is not None,
        configuration_of(answer.backend) is None,
        answer.model.startswith("canary"),
        answer.level.mark,
        answer.model,
        backend_key(answer.backend),
    )


def _answer(choice: Choice, findings: Findings, wanted: Wanted | None) -> Recommendation:
    best, knowledge = choice.best or choice.beyond, findings.knowledge
    larger = larger_card(knowledge, choice)
    known = best or choice.nearest
    told = shown_line(knowledge, best) if best is not None else None
    memory = memory_line(knowledge, best, findings.target.gpu_gib) if best is not None else None
    other = choice.runner_up
    return Recommendation(
        model=shown(choice.subject.name),
        backend=shown(choice.backend),
        level=best.level if best is not None else Level.NOTHING,
        words=visible(level_words(best)) if best is not None else "nothing speaks for any stack",
        combination=_place(told.sighting if told is not None else _last(known), findings),
        shown=_line(told, findings),
        not_shown=visible(not_shown_line(best)) if best is not None else "",
        memory=_line(memory, findings),
        against=[_told(line, findings) for line in conflict_lines(known)[:MOST_AGAINST]] if known is not None else [],
        why=visible(why(choice)),
        runner_up=visible(f"{named(other)}: {level_words(other)}") if other is not None else None,
        versions=_versions(best),
        as_of=shown(best.as_of) if best is not None and best.as_of else None,
        lock=shown(best.lock) if best is not None and best.lock else None,
        commands=_commands(best, findings, larger),
        settings=visible(_settings(best, findings, larger)),
        target=wanted.target if wanted is not None and wanted.model == choice.subject.name else None,
        others=max(0, len(peers(choice)) - 1),
        differences=_differences(best),
        larger_card_gib=larger,
    )


def _differences(known: Known | None) -> dict[str, str | None]:
    unlike = known.best.differences if known is not None and known.best is not None else {}
    return {shown(name): None if version is None else shown(version, 500) for name, version in unlike.items()}


def _last(known: Known | None) -> Sighting | None:
    return known.against[0] if known is not None and known.against else None


def _line(line: Line | None, findings: Findings) -> AnswerLine | None:
    return None if line is None else _told(line, findings)


def _told(line: Line, findings: Findings) -> AnswerLine:
    return AnswerLine(text=visible(bounded(line.text)), combination=_place(line.sighting, findings))


def _place(sighting: Sighting | None, findings: Findings) -> int | None:
    return None if sighting is None else findings.places.get((sighting.source, sighting.record.id))


def _versions(known: Known | None) -> dict[str, str]:
    if known is None:
        return {}
    told = {"lmdeploy": known.lmdeploy, "transformers": known.transformers, **known.packages}
    python = {"python": known.python} if known.python else {}
    return {name: shown(version) for name, version in {**python, **_key(told)}.items()}


def _key(packages: Mapping[str, str]) -> dict[str, str]:
    return {name: packages[name] for name in KEY_PACKAGES if name in packages}


def _commands(known: Known | None, findings: Findings, larger: float | None) -> list[Command]:
    if known is None:
        return []
    card = larger or findings.target.gpu_gib
    commands = commands_for(findings.knowledge, known, card, _lock_file(known, findings))
    return [Command(label=each.label, text=visible(bounded(each.text, MOST_OF_A_COMMAND))) for each in commands]


def _lock_file(known: Known, findings: Findings) -> str:
    if known.lock is None:
        return ""
    kept = f"{findings.locks}/{known.lock}/pylock.toml" if findings.locks else ""
    return findings.lock_files.get(known.lock, kept)


def _settings(known: Known | None, findings: Findings, larger: float | None) -> str:
    if known is None or configuration_of(known.backend) is None:
        return ""
    return f"Settings {launch_settings(findings.knowledge, known, larger or findings.target.gpu_gib).origin}."

"""From records to everything a report says; the templates and the page add looks, never facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.collector import without_collection
from harness.core.visible import bounded, visible
from harness.evidence.choice import Target
from harness.evidence.predictions import Predictions
from harness.evidence.sightings import Sighting
from harness.evidence.stacks import Knowledge
from harness.evidence.subjects import Subject
from harness.report.answer import Findings, answers_of, choices_of, cited
from harness.report.architectures import architectures_of
from harness.report.axes import axes_of, point_key
from harness.report.causes import CauseFinder, cause_groups
from harness.report.changes import changes_since
from harness.report.combinations import Tables, combination, last_attempts, utc
from harness.report.extras import Extras, ModelSpecFacts, read_extras
from harness.report.heatmap import counts_of, facets_of
from harness.report.model import CombinationEntry, ModelFacts, ReportContext
from harness.report.quantisation import method_cells
from harness.report.runs import before_last, runs_of, trend_of
from harness.report.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pydantic import JsonValue

    from harness.core.records import Record
    from harness.evidence.levels import Level

TITLE = "LMDeploy compatibility"


@without_collection()
def build_context(
    records: Sequence[Record],
    *,
    generated: datetime,
    extras: Mapping[str, JsonValue] | None = None,
    elsewhere: Iterable[tuple[str, Record]] = (),
    knowledge: Knowledge | None = None,
) -> ReportContext:
    """Everything a report on ``records`` says. The same records in any order give the same context.

    Args:
        records: every attempt of every combination; the last one of each is shown.
        generated: printed as the time of the report.
        extras: see :class:`harness.report.extras.Extras`.
        elsewhere: records of other machines that are shown like those, each with the name of its source.
        knowledge: what the answers are chosen from; None: these records and the scan among the extras.

    Raises:
        ValueError: the extras are misshapen.
    """
    shown = _visible_extras(extras or {})
    more = read_extras(shown)
    tables = Tables()
    cause_of = CauseFinder(tables.checks.entries)
    beside = frozenset(more.beside)
    sourced = [("", record) for record in records] + list(elsewhere)
    knowledge = knowledge or _knowledge(sourced, more)
    told = sorted(_last_attempts(sourced), key=lambda each: _is_beside(each[0], each[1], beside))
    asked_for = {_pair(record): None for source, record, _ in told if not _is_beside(source, record, beside)}
    target = Target(gpu_gib=more.choice.gpu_gib if more.choice is not None else None)
    choices = choices_of(knowledge, target, [pair for pair in asked_for if pair is not None])
    here = {(source, record.id) for source, record, _ in told}
    cited_here = {(each.source, each.record.id): each.record for choice in choices for each in cited(choice, knowledge)}
    brought = sorted(place for place in cited_here if place not in here)
    combinations = [
        combination(record, earlier, tables, cause_of, beside=_is_beside(source, record, beside), source=source)
        for source, record, earlier in told
    ] + [combination(cited_here[place], [], tables, cause_of, beside=True, source=place[0]) for place in brought]
    combinations = _with_levels(combinations, [(record.lock, _pair(record)) for _, record, _ in told], knowledge)
    asked = [entry for entry in combinations if not entry.beside]  # they come first, so places are the same in both
    models = _models(combinations, more)
    checks = tables.checks.entries
    runs = runs_of([record for record in records if record.id not in beside])
    previous = more.previous or before_last(runs)
    places = {
        place: index for index, place in enumerate([*((source, record.id) for source, record, _ in told), *brought])
    }
    findings = Findings(knowledge, target, places, more.locks, more.lock_files)
    answers = answers_of(choices, findings, more.choice)
    return ReportContext(
        generated=utc(generated),
        title=more.title or TITLE,
        harness=sorted({visible(bounded(record.harness, 100)) for record in records}),
        synthetic=any(entry.synthetic for entry in combinations),
        started=min((entry.started for entry in asked), default=None),
        finished=max((entry.finished for entry in asked), default=None),
        counts=counts_of(asked),
        unexpected=[index for index, entry in enumerate(asked) if entry.as_expected is False],
        flaky=[index for index, entry in enumerate(asked) if _flaky(entry)],
        axes=axes_of(entry.axes for entry in combinations),
        models=models,
        answers=answers,
        facets=facets_of(asked, sorted((each.model for each in answers), key=lambda name: _tiny(name, models))),
        architectures=architectures_of(asked, checks, models, tables.machines, answers),
        methods=method_cells(asked, models),
        measured=[index for index, entry in enumerate(combinations) if entry.gpu is not None],
        causes=cause_groups(asked, checks, more.remedies),
        changes=None if previous is None else changes_since(previous, asked, tables.stacks),
        combinations=combinations,
        checks=checks,
        stacks=tables.stacks,
        machines=tables.machines,
        sources=sources_of(knowledge.sightings, generated),
        scan=more.scan,
        incidents=more.incidents,
        gate=more.gate,
        trend=more.trend or trend_of(runs),
    )


def _tiny(model: str, models: Mapping[str, ModelFacts]) -> bool:
    """Miniatures come last: they have a map of their own."""
    return models[model].weights == "miniature"


def _knowledge(sourced: Iterable[tuple[str, Record]], more: Extras) -> Knowledge:
    """What these records tell alone."""
    records = list(sourced)
    names = {*more.models, *(record.axes.get("model", "") for _, record in records)} - {""}
    subjects = {name: _subject(name, more.models.get(name) or ModelSpecFacts()) for name in sorted(names)}
    maps = [more.scan.model_dump(mode="json")] if more.scan is not None else []
    return Knowledge.of(subjects, (Sighting(each, source) for source, each in records), Predictions.of_maps(maps))


def _subject(name: str, facts: ModelSpecFacts) -> Subject:
    return Subject(
        name=name,
        title=facts.title or name,
        architecture=facts.architecture,
        quantisation=facts.quantisation,
        weights=facts.weights,
        size=facts.size,
        needs=tuple(facts.needs),
        gpu_gib=facts.gpu_gib,
        weights_gib=facts.weights_gib,
        hub_id=facts.hub_id,
        known_models=tuple(facts.known_models),
    )


def _last_attempts(sourced: Iterable[tuple[str, Record]]) -> list[tuple[str, Record, list[Record]]]:
    """Of each source, the last attempt at each combination and those before it, in the order of versions."""
    by_source: dict[str, list[Record]] = {}
    for source, record in sourced:
        by_source.setdefault(source, []).append(record)
    found = [
        (source, last, earlier) for source in sorted(by_source) for last, earlier in last_attempts(by_source[source])
    ]
    return sorted(found, key=lambda each: (point_key(each[1].axes, each[1].id), each[0]))


def _is_beside(source: str, record: Record, beside: frozenset[str]) -> bool:
    return not source and record.id in beside


def _pair(record: Record) -> tuple[str, str] | None:
    """Model and backend, where the record names both."""
    named = record.axes.get("model"), record.axes.get("backend")
    return (named[0], named[1]) if named[0] is not None and named[1] is not None else None


def _with_levels(
    combinations: Sequence[CombinationEntry],
    locks: Sequence[tuple[str | None, tuple[str, str] | None]],
    knowledge: Knowledge,
) -> list[CombinationEntry]:
    """Each combination with the level of its stack for its model."""
    levels: dict[tuple[str, str], dict[str, Level]] = {}
    for _, pair in locks:
        if pair is not None and pair not in levels and pair[0] in knowledge.subjects:
            levels[pair] = {each.lock: each.level for each in knowledge.stacks(*pair) if each.lock is not None}
    found = list(combinations)
    for place, (lock, pair) in enumerate(locks):
        level = levels.get(pair, {}).get(lock) if lock is not None and pair is not None else None
        if level is not None:
            found[place] = found[place].model_copy(update={"level": level})
    return found


def _visible_extras(extras: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The extras with every text in them made visible; nothing is left out, they are the project's own."""
    return {name: _visible_all(value) for name, value in extras.items()}


def _visible_all(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible_all(item) for item in value]
    if isinstance(value, dict):
        return {visible(name): _visible_all(member) for name, member in value.items()}
    return value


def _models(combinations: Sequence[CombinationEntry], extras: Extras) -> dict[str, ModelFacts]:
    names = sorted({entry.axes["model"] for entry in combinations if "model" in entry.axes})
    return {name: _model(name, extras.models.get(name) or ModelSpecFacts()) for name in names}


def _model(name: str, spec: ModelSpecFacts) -> ModelFacts:
    return ModelFacts(
        title=spec.title or name,
        hub_id=spec.hub_id,
        architecture=spec.architecture,
        quantisation=spec.quantisation,
        licence=spec.licence,
        trust_remote_code=spec.trust_remote_code,
        weights=spec.weights,
        known_models=spec.known_models,
    )


def _flaky(entry: CombinationEntry) -> bool:
    """Attempts of one combination that disagree: only real verdicts count, infrastructure trouble never does."""
    told = {it.verdict for it in entry.earlier} | {entry.verdict}
    return len({verdict for verdict in told if verdict.split("/")[0] in ("pass", "fail")}) > 1

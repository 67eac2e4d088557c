"""From records to everything a report says; the templates and the page add looks, never facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.collector import without_collection
from harness.core.visible import bounded, visible
from harness.report.answer import Findings, answers_of
from harness.report.architectures import architectures_of
from harness.report.axes import axes_of
from harness.report.causes import CauseFinder, cause_groups
from harness.report.changes import changes_since
from harness.report.combinations import Tables, combination, last_attempts, utc
from harness.report.extras import Extras, ModelSpecFacts, read_extras
from harness.report.heatmap import counts_of, facets_of
from harness.report.model import CombinationEntry, ModelFacts, ReportContext
from harness.report.quantisation import method_cells
from harness.report.runs import before_last, runs_of, trend_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pydantic import JsonValue

    from harness.core.records import Record

TITLE = "LMDeploy compatibility"


@without_collection()
def build_context(
    records: Sequence[Record], *, generated: datetime, extras: Mapping[str, JsonValue] | None = None
) -> ReportContext:
    """Everything a report on ``records`` says. The same records in any order give the same context.

    Args:
        records: every attempt of every combination; the last one of each is shown.
        generated: printed as the time of the report.
        extras: see :class:`harness.report.extras.Extras`.

    Raises:
        ValueError: the extras are misshapen.
    """
    shown = _visible_extras(extras or {})
    more = read_extras(shown)
    tables = Tables()
    cause_of = CauseFinder(tables.checks.entries)
    beside = frozenset(more.beside)
    told = sorted(last_attempts(records), key=lambda attempts: attempts[0].id in beside)
    combinations = [
        combination(record, earlier, tables, cause_of, beside=record.id in beside) for record, earlier in told
    ]
    asked = [entry for entry in combinations if not entry.beside]  # they come first, so places are the same in both
    models = _models(combinations, more)
    checks = tables.checks.entries
    runs = runs_of([record for record in records if record.id not in beside])
    previous = more.previous or before_last(runs)
    findings = Findings(asked, tables.stacks, tables.machines, checks, models, more.locks)
    answers = answers_of(findings, more.choice)
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
        facets=facets_of(asked, [answer.model for answer in answers]),
        architectures=architectures_of(asked, checks, models),
        methods=method_cells(asked, models),
        measured=[index for index, entry in enumerate(combinations) if entry.gpu is not None],
        causes=cause_groups(asked, checks, more.remedies),
        changes=None if previous is None else changes_since(previous, asked),
        combinations=combinations,
        checks=checks,
        stacks=tables.stacks,
        machines=tables.machines,
        scan=more.scan,
        incidents=more.incidents,
        gate=more.gate,
        trend=more.trend or trend_of(runs),
    )


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

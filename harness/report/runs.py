"""Runs told apart in the records: what stood after each of them, and what the last one changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.report.combinations import parsed, utc
from harness.report.extras import PreviousRun, TrendPoint, TrendView
from harness.report.heatmap import no_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import Record
    from harness.core.verdict import Status

PAUSE = timedelta(minutes=30)
"""A pause longer than this ends a run without a name, as does the second attempt at one combination."""
MAX_RUNS = 40


def runs_of(records: Sequence[Record]) -> list[list[Record]]:
    """The records run by run, oldest first."""
    ordered = sorted(records, key=lambda record: (_aware(record.started), record.attempt, record.id))
    named: dict[str, list[Record]] = {}
    for record in ordered:
        if record.run:
            named.setdefault(record.run, []).append(record)
    runs = [*named.values(), *_told_by_time([record for record in ordered if not record.run])]
    return sorted(runs, key=lambda run: _aware(run[0].started))


def _told_by_time(records: Sequence[Record]) -> list[list[Record]]:
    """The runs of records from before runs had names."""
    runs: list[list[Record]] = []
    seen: set[str] = set()
    end: datetime | None = None
    for record in records:
        if end is None or record.id in seen or _aware(record.started) - end > PAUSE:
            runs.append([])
            seen, end = set(), _aware(record.finished)
        runs[-1].append(record)
        seen.add(record.id)
        end = max(end, _aware(record.finished))
    return runs


def trend_of(runs: Sequence[Sequence[Record]]) -> TrendView | None:
    """What was known of every combination after each run; None without any."""
    known: dict[str, Status] = {}
    points = []
    for run in runs:
        known.update((record.id, parsed(record.verdict).status) for record in run)
        counts = no_counts()
        for status in known.values():
            counts[status] += 1
        points.append(TrendPoint(label=_label(run), counts=counts, tested=len(run)))
    return TrendView(points=points[-MAX_RUNS:]) if points else None


def before_last(runs: Sequence[Sequence[Record]]) -> PreviousRun | None:
    """What stood before the last run; None where it is the first."""
    if len(runs) < 2:  # noqa: PLR2004 - one before the last
        return None
    return earlier(f"the run of {_label(runs[-2])}", [record for run in runs[:-1] for record in run])


def earlier(label: str, records: Sequence[Record]) -> PreviousRun:
    """Records in the order of time as something to compare with."""
    stacks = {record.id: dict(record.stack) for record in records if record.stack}
    return PreviousRun(label=label, verdicts={record.id: record.verdict for record in records}, stacks=stacks)


def _label(run: Sequence[Record]) -> str:
    return utc(min(_aware(record.started) for record in run))[:16].replace("T", " ") + " UTC"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

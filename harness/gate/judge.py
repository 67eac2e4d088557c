"""From records to rows, root causes, a decision and its exit code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from harness.core.comparison import Change, compare, reached
from harness.core.errors import ExitCode
from harness.core.verdict import Status, Verdict
from harness.gate.noise import measure, same_machine, samples_of
from harness.gate.outcome import Cause, Measurement, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import Record
    from harness.core.verdict import Stage
    from harness.gate.baseline import Baseline
    from harness.gate.candidates import Candidate

MOST_NAMED = 3
"""Places in the sentence of a decision."""
_WITH_CAUSE = frozenset({Change.REGRESSED, Change.INFRASTRUCTURE, Change.FLAKY, Change.NOT_TESTED, Change.STALE})


def judge(candidate: Candidate, tries: Sequence[Record], baseline: Baseline, control: Verdict | None = None) -> Row:
    """The row of one comparison.

    Args:
        candidate: what was compared.
        tries: its attempts in this gate, oldest first; none when the combination is gone.
        baseline: what it is compared with.
        control: the verdict without the change, where that was asked.
    """
    known = baseline.combinations.get(candidate.reference)
    before = Verdict.parse(known.verdict) if known is not None else None
    verdicts = [Verdict.parse(each.verdict) for each in tries]
    after = verdicts[0] if verdicts else None
    change = compare(before, after)
    if change is Change.REGRESSED and any(compare(before, each) is not Change.REGRESSED for each in verdicts[1:]):
        change = _second_opinion(before, verdicts[1:])
    if change is Change.REGRESSED and control is not None and after is not None:
        change = _blame(before, control, after)
    measured: list[Measurement] = []
    if (
        known is not None
        and tries
        and change in {Change.SAME, Change.NEW}
        and same_machine(known.machine, tries[-1].machine)
    ):
        found = measure(known.samples, samples_of(tries), baseline.limits.model_dump())
        measured = [Measurement(text=str(m), before=m.before, after=m.after, worse=m.worse) for m in found]
        if any(each.worse for each in measured):
            change = Change.REGRESSED
    demanded = baseline.must_reach(candidate.id, candidate.reference)
    settled = _settled(change, verdicts)
    return Row(
        id=candidate.id,
        reference=candidate.reference,
        change=change,
        before=str(before) if before is not None else None,
        after=str(after) if after is not None else None,
        tries=[str(each) for each in verdicts] if len(verdicts) > 1 else [],
        emulated=str(tries[-1].emulated or "") if tries else "",
        cause=_cause_id(change, tries[0], measured) if tries and _has_cause(change, tries[0]) else None,
        must=demanded,
        must_met=_met(demanded, settled) if demanded is not None else None,
        seconds=round(sum(stage.seconds for each in tries for stage in each.stages), 3),
        measured=measured,
        moved=list(candidate.moved),
        control=str(control) if control is not None else None,
    )


def causes_of(rows: Sequence[Row], records: dict[str, Record]) -> list[Cause]:
    """The root causes among the rows: larger ones first, regressions before the rest."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        if row.cause is not None:
            members.setdefault(row.cause, []).append(row)
    causes = [_cause(name, group, records[group[0].id]) for name, group in members.items()]
    return sorted(causes, key=lambda each: (each.change is not Change.REGRESSED, -len(each.combinations), each.id))


def decide(rows: Sequence[Row], untested: Sequence[str] = ()) -> tuple[ExitCode, str]:
    """The exit code and one sentence. A regression outranks trouble, and trouble what could not be tested.

    Args:
        rows: the comparisons.
        untested: what changed and is not understood.
    """
    counts = Counter(row.change for row in rows)
    broken = [row for row in rows if row.must_met is False and row.change is not Change.REGRESSED]
    outstanding = [row for row in rows if row.must is not None and row.must_met is None]
    if not rows and not untested:
        return ExitCode.NOTHING_TO_DO, "Nothing to do: the change touches no combination."
    if counts[Change.REGRESSED] or broken:
        parts = [_many(counts[Change.REGRESSED], "regression")] if counts[Change.REGRESSED] else []
        parts += [f"{len(broken)} that must pass do not"] if broken else []
        return ExitCode.UNEXPECTED, f"{', and '.join(parts)}, of {_many(len(rows), 'comparison')}."
    if counts[Change.INFRASTRUCTURE]:
        return (
            ExitCode.INFRASTRUCTURE,
            (
                f"No regression was seen, but infrastructure trouble left {counts[Change.INFRASTRUCTURE]} of "
                f"{_many(len(rows), 'comparison')} open. Run again."
            ),
        )
    if outstanding:
        return (
            ExitCode.OUTSTANDING,
            f"No regression was seen, but {len(outstanding)} that must be tested could not be tested here.",
        )
    if untested:
        seen = f"No regression in {_many(len(rows), 'comparison')}. " if rows else ""
        told = "; ".join([*untested[:MOST_NAMED], *(["…"] if len(untested) > MOST_NAMED else [])])
        return ExitCode.OUTSTANDING, f"{seen}Left untested, because it is not understood: {told}"
    flaky = f"; {counts[Change.FLAKY]} flaky" if counts[Change.FLAKY] else ""
    emulated = sum(bool(row.emulated) for row in rows)
    stale = counts[Change.STALE]
    flaky += f"; {stale} could not be judged, since they fail without the change too: accept a new run" if stale else ""
    told = f" {emulated} emulated on the CPU, which says nothing of a GPU." if emulated else ""
    return ExitCode.OK, f"No regression in {_many(len(rows), 'comparison')}{flaky}.{told}"


def count(rows: Sequence[Row]) -> dict[str, int]:
    """Rows by class; every class is present."""
    found = Counter(row.change for row in rows)
    return {str(change): found[change] for change in Change}


def _second_opinion(before: Verdict | None, again: Sequence[Verdict]) -> Change:
    """Of a failure that did not come again: flaky if it did better then, otherwise nobody knows."""
    better = [compare(before, each) for each in again]
    if any(each not in {Change.REGRESSED, Change.INFRASTRUCTURE, Change.NOT_TESTED} for each in better):
        return Change.FLAKY
    return Change.REGRESSED


def _blame(before: Verdict | None, control: Verdict, after: Verdict) -> Change:
    """Of a failure that the baseline does not have: whose it is, given how the same stack does without the change."""
    now = compare(before, control)
    if now is Change.INFRASTRUCTURE:
        return now
    return Change.STALE if now is Change.REGRESSED and reached(control) <= reached(after) else Change.REGRESSED


def _settled(change: Change, verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict that counts: of a flaky combination the best one, and none that says anything of another."""
    if not verdicts or change in {Change.STALE, Change.INFRASTRUCTURE}:
        return None
    return max(verdicts, key=reached) if change is Change.FLAKY else verdicts[0]


def _met(demanded: Stage, verdict: Verdict | None) -> bool | None:
    if verdict is None:
        return None
    if verdict.status not in {Status.INFRA, Status.SKIPPED} and reached(verdict) > demanded.position:
        return True
    return False if verdict.status is Status.FAIL else None


def _has_cause(change: Change, record: Record) -> bool:
    return change in _WITH_CAUSE and not record.verdict.startswith(str(Status.SKIPPED))


def _cause_id(change: Change, record: Record, measured: Sequence[Measurement]) -> str:
    worse = [each.text.split(" ")[0] for each in measured if each.worse]
    if worse:
        return f"slower-{hashlib.sha256(json.dumps(worse).encode()).hexdigest()[:8]}"
    verdict, diagnosis = Verdict.parse(record.verdict), record.decisive
    if diagnosis is not None and diagnosis.signature is not None:
        key: list[object] = [str(change), diagnosis.signature, sorted(diagnosis.captures.items())]
    else:
        key = [str(change), str(verdict.reason), verdict.detail]
    return f"{verdict.reason}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]}"


def _cause(name: str, rows: Sequence[Row], record: Record) -> Cause:
    worse = [each.text for each in rows[0].measured if each.worse]
    diagnosis = record.decisive
    if worse:
        title = "Slower, or larger, than the noise and the limit allow"
        return Cause(
            id=name,
            change=rows[0].change,
            verdict=record.verdict,
            title=title,
            line="; ".join(worse),
            cause="",
            remedy="Raise the limit in the baseline if this is wanted, and accept the new run.",
            source="",
            combinations=sorted({row.id for row in rows}),
        )
    return Cause(
        id=name,
        change=rows[0].change,
        verdict=record.verdict,
        title=(diagnosis.title if diagnosis is not None else "") or record.verdict,
        line=diagnosis.line.strip() if diagnosis is not None else "",
        cause=diagnosis.cause.strip() if diagnosis is not None else "",
        remedy=diagnosis.remedy.strip() if diagnosis is not None else "",
        source=diagnosis.source if diagnosis is not None else "",
        combinations=sorted({row.id for row in rows}),
    )


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"

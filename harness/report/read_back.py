"""A report's ``report.json`` read back into records, as far as it holds them: logs and old attempts are cut in it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.core.errors import HarnessError
from harness.core.files import LARGEST_JSON, digest, read_bounded
from harness.core.records import CheckRecord, DiagnosisRecord, MachineRecord, Record, StageRecord
from harness.report.model import ReportContext

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.model import CheckEntry, CombinationEntry


class NotReport(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the file
    """The file is no report.json; the message says why."""


def records_of(file: Path) -> list[Record]:
    """The last attempt of every combination of a report.

    Raises:
        NotReport: it is not a report of this version of the schema.
    """
    try:
        report = ReportContext.model_validate_json(read_bounded(file, LARGEST_JSON))
        return [_record(entry, report) for entry in report.combinations]
    except (ValidationError, IndexError, ValueError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise NotReport(f"{file} is no report.json of this version: {problem}") from error


def _record(entry: CombinationEntry, report: ReportContext) -> Record:
    stack = report.stacks[entry.stack] if entry.stack is not None else None
    machine = report.machines[entry.machine]
    return Record(
        id=entry.id,
        attempt=entry.attempt,
        axes=entry.axes,
        tags=entry.tags,
        verdict=entry.verdict,
        expected=entry.expected,
        as_expected=entry.as_expected,
        note=entry.note,
        stages=[
            StageRecord(
                stage=each.stage,
                verdict=each.verdict,
                seconds=each.seconds,
                checks=[_check(report.checks[index], reused=index in each.reused) for index in each.checks],
            )
            for each in entry.stages
        ],
        lock=stack.lock if stack is not None else None,
        stack=stack.packages if stack is not None else {},
        differences=entry.differences,
        machine=MachineRecord(**machine.model_dump()),
        command=entry.command,
        inputs=digest(["report", entry.id, entry.finished]),
        harness=" ".join(report.harness),
        started=datetime.fromisoformat(entry.started),
        finished=datetime.fromisoformat(entry.finished),
        synthetic=entry.synthetic,
    )


def _check(entry: CheckEntry, *, reused: bool) -> CheckRecord:
    diagnosis = entry.diagnosis
    return CheckRecord(
        name=entry.name,
        outcome=entry.outcome,
        key=entry.key,
        reused=reused,
        seconds=entry.seconds,
        peak_memory_mib=entry.peak_memory_mib,
        facts=entry.facts,
        diagnosis=DiagnosisRecord(**diagnosis.model_dump()) if diagnosis is not None else None,
        log_tail="\n".join(entry.log.lines) if entry.log is not None else "",
    )

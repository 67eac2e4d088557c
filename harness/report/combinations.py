"""Records turned into the report's combinations: the last attempt of each, with shared tables for what they share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from harness.core.program import renamed
from harness.core.verdict import Stage, Status, Verdict
from harness.core.visible import bounded, shown, visible
from harness.report.axes import point_key
from harness.report.checks import CheckTable
from harness.report.engine import engine_of, gpu_of
from harness.report.model import AttemptEntry, CombinationEntry, Machine, Stack, StageEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.records import MachineRecord, Record, StageRecord


MAX_DIFFERENCES = 300


class CauseOf(Protocol):
    """Names the root-cause group of a combination that did not pass."""

    def __call__(self, verdict: Verdict, decisive: int | None) -> str | None:
        """None for a pass."""


class Tables:
    """What combinations share, each distinct thing once."""

    def __init__(self) -> None:
        self.checks = CheckTable()
        self.stacks: list[Stack] = []
        self.machines: list[Machine] = []
        self._stack_index: dict[tuple[str | None, int], list[tuple[Mapping[str, str], int]]] = {}
        self._known_machines: list[tuple[MachineRecord, int]] = []

    def stack(self, lock: str | None, packages: Mapping[str, str]) -> int | None:
        """Index of the stack; None for a combination that has none."""
        if not packages:
            return None
        alike = self._stack_index.setdefault((lock, len(packages)), [])
        for known, index in alike:
            if known == packages:
                return index
        told = {shown(name): shown(packages[name]) for name in sorted(packages)}
        self.stacks.append(Stack(lock=_shown(lock), packages=told))
        alike.append((packages, len(self.stacks) - 1))
        return len(self.stacks) - 1

    def machine(self, record: MachineRecord) -> int:
        """Index of the machine."""
        for known, index in self._known_machines:
            if known is record or known == record:
                return index
        self.machines.append(
            Machine(
                os=shown(record.os),
                kernel=shown(record.kernel),
                wsl=record.wsl,
                cpu=shown(record.cpu),
                cores=record.cores,
                memory_mib=record.memory_mib,
                gpus=[shown(gpu) for gpu in record.gpus],
                gpu_memory_mib=list(record.gpu_memory_mib),
                driver=_shown(record.driver),
            )
        )
        self._known_machines.append((record, len(self.machines) - 1))
        return len(self.machines) - 1


SOURCED = "@"
"""Between a combination's id and the name of another machine's records."""


def last_attempts(records: Iterable[Record]) -> list[tuple[Record, list[Record]]]:
    """For each combination its last attempt and the ones before it, combinations in the order of their versions."""
    attempts: dict[str, list[Record]] = {}
    for record in records:
        attempts.setdefault(record.id, []).append(record)
    groups = [sorted(group, key=lambda record: (record.attempt, record.finished)) for group in attempts.values()]
    return [
        (group[-1], group[:-1]) for group in sorted(groups, key=lambda group: point_key(group[-1].axes, group[-1].id))
    ]


def combination(  # noqa: PLR0913 - a record, what it shares, and what it is in this report
    record: Record,
    earlier: Sequence[Record],
    tables: Tables,
    cause_of: CauseOf,
    *,
    beside: bool = False,
    source: str = "",
) -> CombinationEntry:
    """One record as the report shows it."""
    verdict = parsed(record.verdict)
    stages = [_stage(stage, tables) for stage in record.stages]
    passed = [entry.stage for entry in stages if entry.status is Status.PASS]
    decisive = _decisive(verdict, stages, tables)
    facts = [check.facts for stage in record.stages if stage.stage is Stage.BOOT for check in stage.checks]
    return CombinationEntry(
        id=shown(f"{record.id}{SOURCED}{source}" if source else record.id, 500),
        attempt=record.attempt,
        axes={shown(name, 100): shown(value) for name, value in record.axes.items()},
        tags=[shown(tag, 100) for tag in record.tags],
        verdict=str(verdict),
        status=verdict.status,
        stage=verdict.stage,
        reason=verdict.reason,
        detail=verdict.detail,
        height=max(passed, key=lambda stage: stage.position, default=None),
        expected=shown(record.expected, 500),
        as_expected=record.as_expected,
        note=visible(bounded(record.note)),
        stages=stages,
        decisive=decisive,
        cause=cause_of(verdict, decisive),
        stack=tables.stack(record.lock, record.stack),
        differences={
            shown(name): None if version is None else shown(version, 500)
            for name, version in sorted(record.differences.items())[:MAX_DIFFERENCES]
        },
        engine=engine_of(facts),
        gpu=gpu_of(facts),
        machine=tables.machine(record.machine),
        command=visible(bounded(renamed(record.command), 4000)),
        started=utc(record.started),
        finished=utc(record.finished),
        earlier=[
            AttemptEntry(attempt=it.attempt, verdict=str(parsed(it.verdict)), finished=utc(it.finished))
            for it in earlier[-20:]
        ],
        synthetic=record.synthetic,
        beside=beside,
        source=shown(source, 200),
    )


def shown_verdict(verdict: Verdict) -> Verdict:
    """The verdict with its detail visible and bounded: still a verdict, whose string parses back."""
    return replace(verdict, detail=visible(bounded(verdict.detail, 500)))


@lru_cache(maxsize=10_000)
def parsed(text: str) -> Verdict:
    """The shown verdict that a record's string stands for; a run has few distinct ones.

    Raises:
        ValueError: it is none.
    """
    return shown_verdict(Verdict.parse(text))


def utc(moment: datetime) -> str:
    """ISO 8601 to the second, in UTC; a time without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _shown(text: str | None) -> str | None:
    return None if text is None else shown(text)


def _stage(record: StageRecord, tables: Tables) -> StageEntry:
    verdict = parsed(record.verdict)
    indices = [tables.checks.add(check) for check in record.checks]
    return StageEntry(
        stage=record.stage,
        verdict=str(verdict),
        status=verdict.status,
        seconds=round(record.seconds, 3),
        checks=indices,
        reused=[index for index, check in zip(indices, record.checks, strict=True) if check.reused],
    )


def _decisive(verdict: Verdict, stages: Sequence[StageEntry], tables: Tables) -> int | None:
    """The check that explains the verdict: of its stage, with its status, best the one whose diagnosis agrees."""
    if verdict.status is Status.PASS:
        return None
    own = [index for entry in stages if entry.stage is verdict.stage for index in entry.checks]
    same = [index for index in own if tables.checks.entries[index].outcome is verdict.status]
    for index in same:
        diagnosis = tables.checks.entries[index].diagnosis
        if diagnosis is not None and diagnosis.family is verdict.reason:
            return index
    return same[0] if same else None

"""Checks shared between combinations: each answer is in the report once, however many combinations rest on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.visible import MAX_LINE, bounded, shown, visible, visible_value
from harness.report.logs import log_entry
from harness.report.model import CheckEntry, DiagnosisEntry, ExceptionEntry, FrameEntry
from harness.report.passes import passes_of

if TYPE_CHECKING:
    from harness.core.records import CheckRecord, DiagnosisRecord, ExceptionRecord

MAX_FRAMES = 40
MAX_CHAIN = 8


class CheckTable:
    """Collects the distinct checks of a run."""

    def __init__(self) -> None:
        self.entries: list[CheckEntry] = []
        self._known: dict[tuple[str, str], list[tuple[CheckRecord, int]]] = {}

    def add(self, check: CheckRecord) -> int:
        """The index of this answer, which it shares with every identical one."""
        same_question = self._known.setdefault((check.name, check.key), [])
        for known, index in same_question:
            if _same_answer(known, check):
                return index
        self.entries.append(_entry(check))
        same_question.append((check, len(self.entries) - 1))
        return len(self.entries) - 1


def _same_answer(first: CheckRecord, second: CheckRecord) -> bool:
    return first is second or all(
        getattr(first, name) == getattr(second, name)
        for name in ("outcome", "seconds", "peak_memory_mib", "facts", "exception", "diagnosis", "log_tail")
    )


def _entry(check: CheckRecord) -> CheckEntry:
    return CheckEntry(
        name=shown(check.name),
        outcome=check.outcome,
        key=visible(bounded(check.key, 200)),
        seconds=round(check.seconds, 3),
        peak_memory_mib=None if check.peak_memory_mib is None else round(check.peak_memory_mib, 1),
        facts={shown(name): visible_value(value) for name, value in check.facts.items()},
        passes=passes_of(check.facts) if check.name == "two-pass" else [],
        exceptions=_chain(check.exception),
        diagnosis=_diagnosis(check.diagnosis),
        log=log_entry(check.log_tail, check.diagnosis.line if check.diagnosis else ""),
    )


def _chain(exception: ExceptionRecord | None) -> list[ExceptionEntry]:
    chain: list[ExceptionEntry] = []
    while exception is not None and len(chain) < MAX_CHAIN:
        frames = exception.frames[-MAX_FRAMES:]
        chain.append(
            ExceptionEntry(
                type=visible(bounded(exception.type, 200)),
                message=visible(bounded(exception.message)),
                frames=[
                    FrameEntry(
                        file=visible(bounded(frame.file, 500)),
                        line=frame.line,
                        function=visible(bounded(frame.function, 200)),
                        text=visible(bounded(frame.text, 500)),
                    )
                    for frame in frames
                ],
                frames_omitted=len(exception.frames) - len(frames),
            )
        )
        exception = exception.cause
    return chain


def _diagnosis(found: DiagnosisRecord | None) -> DiagnosisEntry | None:
    if found is None:
        return None
    return DiagnosisEntry(
        signature=None if found.signature is None else visible(bounded(found.signature, 200)),
        family=found.family,
        captures={visible(bounded(name, 100)): visible(bounded(value, 500)) for name, value in found.captures.items()},
        confidence=round(found.confidence, 3),
        line=visible(bounded(found.line, MAX_LINE)),
        title=visible(bounded(found.title, 500)),
        cause=visible(bounded(found.cause)),
        remedy=visible(bounded(found.remedy)),
        source=visible(bounded(found.source, 1000)),
    )

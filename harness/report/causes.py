"""Root causes: combinations that did not pass, grouped by what the diagnosis says and captured."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from harness.core.verdict import Status
from harness.report.axes import sorted_values
from harness.report.model import CauseGroup, CombinationEntry
from harness.report.wording import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.verdict import Verdict
    from harness.report.extras import RemedyView
    from harness.report.model import CheckEntry, DiagnosisEntry

_ORDER = (Status.FAIL, Status.INFRA, Status.BLOCKED, Status.SKIPPED)


class CauseFinder:
    """Names the root cause of a combination: equal names, one cause."""

    def __init__(self, checks: Sequence[CheckEntry]) -> None:
        self._checks = checks

    def __call__(self, verdict: Verdict, decisive: int | None) -> str | None:
        """Stable over runs: made of the signature and its captures, or of reason and detail where none matched."""
        if verdict.reason is None:
            return None
        diagnosis = None if decisive is None else self._checks[decisive].diagnosis
        if diagnosis is not None and diagnosis.signature is not None:
            key = [verdict.status, diagnosis.signature, sorted(diagnosis.captures.items())]
        else:
            key = [verdict.status, verdict.reason, verdict.detail]
        digest = hashlib.sha256(json.dumps(key).encode("utf-8", "backslashreplace")).hexdigest()[:8]
        return f"{verdict.reason}-{digest}"


def cause_groups(
    combinations: Sequence[CombinationEntry], checks: Sequence[CheckEntry], remedies: Sequence[RemedyView]
) -> list[CauseGroup]:
    """Every root cause met: failures first, then infrastructure, then what was not tested; larger groups first."""
    members: dict[str, list[int]] = {}
    for index, entry in enumerate(combinations):
        if entry.cause is not None:
            members.setdefault(entry.cause, []).append(index)
    tried: dict[str, list[RemedyView]] = {}
    for remedy in remedies:
        tried.setdefault(remedy.combination, []).append(remedy)
    groups = [_group(name, indices, combinations, checks, tried) for name, indices in members.items()]
    return sorted(groups, key=lambda group: (_ORDER.index(group.status), -len(group.combinations), group.id))


def _group(
    name: str,
    indices: Sequence[int],
    combinations: Sequence[CombinationEntry],
    checks: Sequence[CheckEntry],
    tried: Mapping[str, Sequence[RemedyView]],
) -> CauseGroup:
    entries = [combinations[index] for index in indices]
    first = entries[0]
    diagnosis = None if first.decisive is None else checks[first.decisive].diagnosis
    if first.reason is None:
        raise ValueError(f"{first.id} passed and has no cause")
    return CauseGroup(
        id=name,
        status=first.status,
        signature=diagnosis.signature if diagnosis else None,
        family=first.reason,
        stages=sorted({entry.stage for entry in entries if entry.stage}, key=lambda stage: stage.position),
        captures=diagnosis.captures if diagnosis else {},
        title=_title(first, diagnosis),
        cause=diagnosis.cause if diagnosis else "",
        remedy=diagnosis.remedy if diagnosis else "",
        source=diagnosis.source if diagnosis else "",
        line=_line(first, checks, diagnosis),
        combinations=list(indices),
        where=_where(entries),
        remedies=[remedy for entry in entries for remedy in tried.get(entry.id, ())],
    )


def _title(first: CombinationEntry, diagnosis: DiagnosisEntry | None) -> str:
    if diagnosis is not None and diagnosis.title:
        return diagnosis.title
    if first.reason is None:
        return ""
    family = FAMILIES[first.reason].rstrip(".")
    return f"{family}: {first.detail}" if first.detail else family


def _line(first: CombinationEntry, checks: Sequence[CheckEntry], diagnosis: DiagnosisEntry | None) -> str:
    if diagnosis is not None and diagnosis.line:
        return diagnosis.line
    chain = [] if first.decisive is None else checks[first.decisive].exceptions
    return f"{chain[-1].type}: {chain[-1].message}" if chain else first.note


def _where(entries: Sequence[CombinationEntry]) -> dict[str, list[str]]:
    seen: dict[str, set[str]] = {}
    for entry in entries:
        for name, value in entry.axes.items():
            seen.setdefault(name, set()).add(value)
    return {name: sorted_values(name, seen[name]) for name in sorted(seen)}

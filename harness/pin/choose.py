"""Which tested stack to pin: the report's own answer, among the records that fit the target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.core.versions import version_key
from harness.environments.lock import InvalidLock, Lock
from harness.report.context import build_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from harness.core.records import Record
    from harness.matrix.models import ModelSpec
    from harness.report.model import Recommendation

LEVELS = ("proven", "partial")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; None: anything."""

    model: str
    python: str | None = None
    backend: str | None = None
    gpu_memory_gib: float | None = None
    prefer: str | None = None
    """``latency``, ``newest`` or ``smallest``; None: as the report ranks."""
    partial: bool = False
    """Take also what passed only all that its machine could run."""


@dataclass(frozen=True, slots=True)
class TestedStack:
    """A record whose stack fits, with what was shown of it."""

    record: Record
    lock: Lock
    answer: Recommendation


@dataclass(frozen=True, slots=True)
class Chosen:
    """The outcome: the choice, or what came nearest."""

    best: TestedStack | None
    rejected: Mapping[str, str]
    """Record id to why it was not taken."""
    nearest: str = ""
    """Where nothing fits: what came nearest, and what stands in the way."""


def choose(
    records: Sequence[Record],
    wish: Wish,
    spec: ModelSpec,
    locks: Path,
    extras: Mapping[str, JsonValue],
) -> Chosen:
    """The stack to pin.

    Args:
        records: the latest attempt at each combination.
        wish: what is asked for.
        spec: the model's.
        locks: folder of the kept locks.
        extras: the report's own.
    """
    rejected: dict[str, str] = {}
    fitting: dict[str, TestedStack] = {}
    for record in records:
        if record.axes.get("model") != wish.model:
            continue
        why = _misfit(record, wish, spec)
        lock = _lock(record, locks)
        answer = _answers([record], extras)[0]
        if why is None and answer.level not in LEVELS[: 2 if wish.partial else 1]:
            why = " ".join([answer.claim, *answer.not_proven])
        if why is None and lock is None:
            why = "its lock file is gone or was changed; run it again"
        if why is not None or lock is None:
            rejected[record.id] = why or ""
            continue
        fitting[record.id] = TestedStack(record, lock, answer)
    if not fitting:
        return Chosen(None, rejected, _nearest(records, wish, rejected, extras))
    best = _best(list(fitting.values()), wish, extras)
    for name, each in fitting.items():
        if each is not best:
            rejected[name] = "fits as well; ranked lower"
    return Chosen(best, rejected)


def _best(fitting: Sequence[TestedStack], wish: Wish, extras: Mapping[str, JsonValue]) -> TestedStack:
    """What the report leads with; a preference only decides between stacks that the report puts on one level."""
    answers = _answers([each.record for each in fitting], extras)
    lead = answers[0]
    peers = [
        each for each in fitting if each.record.axes["backend"] == lead.backend and each.answer.level == lead.level
    ]
    if wish.prefer == "newest":
        return max(peers, key=_age_key)
    if wish.prefer == "smallest":
        return min(peers, key=lambda each: sum(each.lock.download_sizes(each.record.axes["python"]).values()))
    if wish.prefer == "latency":
        timed = [
            (latency, place) for place, each in enumerate(peers) if (latency := latency_of(each.record)) is not None
        ]
        if timed:
            return peers[min(timed)[1]]
    shown = build_context([each.record for each in fitting], generated=datetime.now(UTC), extras=extras)
    chosen = shown.combinations[lead.combination or 0].id
    return next(each for each in fitting if each.record.id == chosen)


def latency_of(record: Record) -> float | None:
    """Seconds of the fastest warm answer of both passes together; None where none was measured or it was not alone."""
    total = 0.0
    for stage in (Stage.SEE, Stage.STRUCTURE):
        facts = next((check.facts for each in record.stages if each.stage is stage for check in each.checks), {})
        told = facts.get(str(stage))
        times = told.get("total_seconds") if isinstance(told, dict) else None
        warm = [each for each in times[1:] if isinstance(each, int | float)] if isinstance(times, list) else []
        if not warm:
            return None
        total += min(warm)
    return total


def gpu_peak_mib(record: Record) -> float | None:
    """GPU memory that the boot was seen to take, MiB; None: it was not measured."""
    for stage in record.stages:
        for check in stage.checks:
            gpu = check.facts.get("gpu")
            peak = gpu.get("peak_mib") if isinstance(gpu, dict) else None
            if isinstance(peak, int | float) and peak > 0:
                return float(peak)
    return None


def _misfit(record: Record, wish: Wish, spec: ModelSpec) -> str | None:  # noqa: PLR0911 - one for each reason
    """Why the record says nothing for this target; None: it does."""
    python, backend = record.axes.get("python", ""), record.axes.get("backend", "")
    if record.synthetic:
        return "made up, no result"
    if wish.python and python != wish.python and not python.startswith(f"{wish.python}."):
        return f"tested on Python {python}, not {wish.python}"
    if wish.backend and backend != wish.backend:
        return f"tested on the {backend} backend"
    if record.differences:
        return f"ran with other versions than its lock's: {', '.join(sorted(record.differences))}"
    if wish.gpu_memory_gib is not None:
        peak = gpu_peak_mib(record)
        if peak is not None and peak > wish.gpu_memory_gib * 1024:
            return f"took {peak / 1024:.1f} GiB of GPU memory; the target has {wish.gpu_memory_gib:g} GiB"
        if peak is None and spec.memory.gpu_gib > wish.gpu_memory_gib:
            return f"the model needs about {spec.memory.gpu_gib:g} GiB by its spec; the target has less"
    return None


def _lock(record: Record, locks: Path) -> Lock | None:
    file = locks / (record.lock or "none") / "pylock.toml"
    if record.lock is None or not file.is_file():
        return None
    lock = Lock(file.read_text(encoding="utf-8"))
    try:
        whole = lock.name == record.lock and bool(lock.stack)
    except InvalidLock:
        return None
    return lock if whole else None


def _answers(records: Sequence[Record], extras: Mapping[str, JsonValue]) -> list[Recommendation]:
    return build_context(records, generated=datetime.now(UTC), extras=extras).answers


def _age_key(each: TestedStack) -> tuple[object, ...]:
    return tuple(version_key(each.record.axes.get(name, "")) for name in ("lmdeploy", "transformers", "python"))


def _nearest(
    records: Sequence[Record], wish: Wish, rejected: Mapping[str, str], extras: Mapping[str, JsonValue]
) -> str:
    of_model = [each for each in records if each.axes.get("model") == wish.model]
    if not of_model:
        return f"no run has tried {wish.model}; 'lmdeploy-harness run' with it in the matrix first"
    asked = [each for each in of_model if wish.backend in (None, each.axes.get("backend"))] or of_model
    shown = build_context(asked, generated=datetime.now(UTC), extras=extras)
    nearest = shown.combinations[shown.answers[0].combination or 0]
    return f"nearest: {nearest.id} ({nearest.verdict}). In the way: {rejected.get(nearest.id, '')}"

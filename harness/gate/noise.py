"""Latency and memory before and after: told apart from noise, or not judged at all.

Two sets of samples differ when the median moved by more than the threshold *and* by more than three times the spread,
where the spread is the larger of both sides' median absolute deviations (scaled to a standard deviation). Fewer than
three clean samples on either side, another machine, or a card that somebody else used: then nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.core.verdict import Stage, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from harness.core.records import CheckRecord, MachineRecord, Record

MIN_SAMPLES = 3
SIGMAS = 3.0
_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""
_LEAST_SPREAD = 0.01
"""Of the median: equal samples do not mean a perfect clock."""
MEMORY = "gpu memory MiB"


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantity before and after. Seconds, or MiB for memory."""

    name: str
    before: float
    after: float
    spread: float
    threshold: float
    worse: bool

    def __str__(self) -> str:
        moved = (self.after / self.before - 1) * 100 if self.before else 0.0
        return f"{self.name} {self.before:.4g} → {self.after:.4g} ({moved:+.0f} %, noise ±{SIGMAS * self.spread:.2g})"


def samples_of(attempts: Iterable[Record]) -> dict[str, list[float]]:
    """Clean samples by quantity, over attempts at one combination; each pass's first answer is cold and left out."""
    found: dict[str, list[float]] = {}
    for record in attempts:
        checks = [(stage.stage, check) for stage in record.stages for check in stage.checks]
        cards = [card for _, check in checks if isinstance(card := check.facts.get("gpu"), dict)]
        if any(card.get("tainted") for card in cards):
            continue
        for stage, check in checks:
            _add_latencies(found, stage, check)
        for card in cards:
            peak = card.get("peak_mib")
            if isinstance(peak, int | float) and peak > 0:
                found.setdefault(MEMORY, []).append(float(peak))
    return found


def measure(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], limits: Mapping[str, float]
) -> list[Compared]:
    """Every quantity that both sides have enough samples of.

    Args:
        before: the baseline's samples.
        after: the samples now.
        limits: the share by which ``latency`` and ``memory`` may grow, 0.25 for a quarter.
    """
    found = []
    for name in sorted(before.keys() & after.keys()):
        if min(len(before[name]), len(after[name])) < MIN_SAMPLES:
            continue
        old, new = median(before[name]), median(after[name])
        spread = max(_spread(before[name]), _spread(after[name]))
        threshold = limits["memory" if name == MEMORY else "latency"]
        worse = new > old * (1 + threshold) and new - old > SIGMAS * spread
        found.append(Compared(name, old, new, spread, threshold, worse))
    return found


def same_machine(before: str, machine: MachineRecord) -> bool:
    """Whether samples of both may be compared."""
    return before == machine_name(machine)


def machine_name(machine: MachineRecord) -> str:
    """What has to be equal for times to be comparable."""
    return " · ".join([machine.cpu, f"{machine.cores} cores", *machine.gpus, machine.driver or "no GPU driver"])


def _spread(samples: Sequence[float]) -> float:
    middle = median(samples)
    return max(_TO_SIGMA * median(abs(each - middle) for each in samples), _LEAST_SPREAD * middle)


def _add_latencies(found: dict[str, list[float]], stage: Stage, check: CheckRecord) -> None:
    told = check.facts.get(str(stage))
    if stage not in {Stage.SEE, Stage.STRUCTURE} or check.outcome is not Status.PASS or not isinstance(told, dict):
        return
    for fact, words in (("total_seconds", "s"), ("first_token_seconds", "to first token s")):
        listed: JsonValue = told.get(fact)
        if isinstance(listed, list):
            warm = [float(each) for each in listed[1:] if isinstance(each, int | float) and each > 0]
            if warm:
                found.setdefault(f"{stage} {words}", []).extend(warm)

"""Running candidates, and trying new failures again in a fresh environment where that could change the verdict."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from harness.core.comparison import Change, compare
from harness.core.untrusted_files import remove_tree
from harness.core.verdict import Reason, Stage, Verdict
from harness.environments.environment import Environments
from harness.process.scratch import own_folder, sweep
from harness.session.execute import run_all
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.records import Record
    from harness.gate.baseline import Baseline
    from harness.gate.candidates import Candidate
    from harness.matrix import Combination
    from harness.session.execute import Display

CERTAIN = frozenset(
    {
        Reason.RESOLVER_CONFLICT,
        Reason.NO_COMPATIBLE_WHEEL,
        Reason.SYMBOL,
        Reason.ENTRYPOINT,
        Reason.VERSION_GATE,
        Reason.ARCHITECTURE,
        Reason.CONFIG_DRIFT,
        Reason.QUANTISATION,
        Reason.BACKEND_SUBSTITUTED,
    }
)
"""What the packages' own sources decide: trying again would say the same."""


@dataclass(frozen=True)
class _FreshSession(Session):
    """A session whose environments are built anew, beside those that others may be using."""

    @cached_property
    def environments(self) -> Environments:
        """None is there yet."""
        return Environments(own_folder(self.project.retries))


def run_candidates(
    session: Session, candidates: Sequence[Candidate], baseline: Baseline, *, retries: int, display: Display
) -> dict[str, list[Record]]:
    """Every try of every candidate, by its id, oldest first.

    Args:
        session: of the gate's own reports folder.
        candidates: the comparisons; several may run the same combination.
        baseline: what they are compared with.
        retries: how often a new failure is tried again.
        display: makes what shows each round.

    Raises:
        RunBroken: the harness could not go on.
        Cancelled: stopped.
    """
    wanted: dict[str, Combination] = {each.id: each.combination for each in candidates if each.combination is not None}
    if not wanted:
        return {}
    sweep(session.project.retries)
    records = run_all(session, list(wanted.values()), display, publish=False)
    tries = {record.id: [record] for record in records}
    again = [each for each in wanted.values() if _worth_another(tries[each.id][0], each.id, candidates, baseline)]
    for _ in range(retries):
        if not again:
            break
        fresh = _FreshSession(session.project, session.jobs, fresh=True)
        try:
            for record in run_all(fresh, again, display, publish=False):
                tries[record.id].append(record)
        finally:
            for folder in fresh.environments.root.iterdir():
                with suppress(OSError):  # the next sweep of the retries tries again
                    remove_tree(folder)
        again = [each for each in again if _worth_another(tries[each.id][-1], each.id, candidates, baseline)]
    return tries


def run_controls(
    session: Session,
    candidates: Sequence[Candidate],
    tries: dict[str, list[Record]],
    baseline: Baseline,
    *,
    display: Display,
) -> dict[str, Verdict]:
    """How those that regressed do without the change, now and here, by the id in the baseline.

    A change is blamed for nothing that the same stack does without it: the machine, the harness or what an index no
    longer has may have moved since the baseline was accepted.
    """
    wanted = {
        each.reference: each.control
        for each in candidates
        if each.control is not None and each.combination is not None and _wants_control(tries[each.id], each, baseline)
    }
    if not wanted:
        return {}
    records = run_all(session, list(wanted.values()), display, publish=False)
    return {name: Verdict.parse(record.verdict) for name, record in zip(wanted, records, strict=True)}


def _wants_control(tries: Sequence[Record], candidate: Candidate, baseline: Baseline) -> bool:
    known = baseline.combinations.get(candidate.reference)
    before = Verdict.parse(known.verdict) if known is not None else None
    verdicts = [Verdict.parse(each.verdict) for each in tries]
    if verdicts[0].stage is Stage.RESOLVE:
        return False  # that the stack of before resolves is known: it is where the candidate comes from
    return all(compare(before, each) is Change.REGRESSED for each in verdicts)


def sample_again(
    session: Session, candidates: Sequence[Candidate], tries: dict[str, list[Record]], *, samples: int, display: Display
) -> None:
    """Repeat what was answered until each has that many attempts, one at a time on a card, for latency and memory."""
    answered = {
        each.id: each.combination
        for each in candidates
        if each.combination is not None and tries[each.id][0].verdict == "pass"
    }
    measuring = replace(session, fresh=True, measure=True)
    for _ in range(samples - 1):
        if answered:
            for record in run_all(measuring, list(answered.values()), display, publish=False):
                tries[record.id].append(record)


def _worth_another(record: Record, name: str, candidates: Sequence[Candidate], baseline: Baseline) -> bool:
    verdict = Verdict.parse(record.verdict)
    if verdict.reason in CERTAIN or verdict.stage is Stage.RESOLVE:
        return False
    known = [baseline.combinations.get(each.reference) for each in candidates if each.id == name]
    before = [Verdict.parse(each.verdict) if each is not None else None for each in known]
    return any(compare(each, verdict) is Change.REGRESSED for each in before)

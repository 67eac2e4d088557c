"""Remedies, tried one upon the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.incidents.verify import NO_HELP
from harness.remedy.trial import try_remedies
from tests.incidents.samples import record_of, symbol, the

if TYPE_CHECKING:
    from harness.core.records import Record
    from harness.matrix import Combination


def test_the_logs_deadlock_is_walked_out_of() -> None:
    """From 4.57.3: BeamSearchScorer bounds it above, ImagesKwargs below; a version between has both."""
    broken = the("incident-4")
    ran: list[str] = []

    def run(changed: Combination) -> Record:
        ran.append(changed.transformers)
        major, minor = (int(part) for part in changed.transformers.split(".")[:2])
        if (major, minor) > (4, 56):
            return symbol(changed, "transformers.BeamSearchScorer")
        if (major, minor) < (4, 42):
            return symbol(changed, "transformers.processing_utils.ImagesKwargs")
        return record_of(changed, "blocked/configure/weights-missing-or-corrupt", asked=False)

    trial = try_remedies(broken, symbol(broken, "transformers.BeamSearchScorer"), run)
    assert ran == ["4.56.2"]
    assert trial.verified is not None
    low = the("incident-5")
    ran.clear()
    trial = try_remedies(low, symbol(low, "transformers.processing_utils.ImagesKwargs"), run)
    assert ran[-1] == "4.56.2"
    assert len(ran) == 2
    assert trial.verified is not None


def test_a_change_that_does_not_help_is_said_so() -> None:
    broken = the("incident-4")
    failed = symbol(broken, "transformers.BeamSearchScorer")
    trial = try_remedies(broken, failed, lambda changed: record_of(changed, "fail/import/crash(SIGSEGV)"))
    assert [step.finding for step in trial.steps] == [NO_HELP]
    assert trial.verified is None

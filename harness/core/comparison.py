"""One table for a combination before and after: every pair of verdicts has exactly one class.

A verdict that is ``blocked`` at a stage says that every stage below it passed, so it is compared by height: failing
below the height that was reached before is a regression although nothing was ever a whole pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from harness.core.verdict import Stage, Status

if TYPE_CHECKING:
    from harness.core.verdict import Verdict


class Change(StrEnum):
    """What became of a combination."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    SAME = "same"
    OTHER_REASON = "same failure for another reason"
    NEW = "new"
    """Nothing was known of it before, or not of the stage that now answered."""
    GONE = "gone"
    NOT_TESTED = "not tested"
    """This machine could not get as far as before."""
    STALE = "stale baseline"
    """It fails without the change as well, so the change is not to blame and nothing is known of it."""
    FLAKY = "flaky"
    """Failed, and did not fail when the gate tried it again."""
    INFRASTRUCTURE = "infrastructure"


ORDER = (
    Change.REGRESSED,
    Change.INFRASTRUCTURE,
    Change.NOT_TESTED,
    Change.STALE,
    Change.FLAKY,
    Change.OTHER_REASON,
    Change.NEW,
    Change.FIXED,
    Change.GONE,
    Change.SAME,
)
"""What needs a person first."""
_TOP = Stage.STRUCTURE.position + 1


def compare(before: Verdict | None, after: Verdict | None) -> Change:  # noqa: PLR0911 - one line for each class
    """The class of one combination.

    Args:
        before: the earlier verdict, a run's or the baseline's; None when there is none.
        after: the verdict now; None when the combination is not there any more.

    Raises:
        ValueError: there is neither.
    """
    if after is None:
        if before is None:
            raise ValueError("nothing to compare")
        return Change.GONE
    if after.status is Status.INFRA:
        return Change.INFRASTRUCTURE
    if before is None or (before.status in _SAY_NOTHING and after.status is not Status.SKIPPED):
        return Change.NEW
    if after.status is Status.SKIPPED:
        return Change.SAME if before.status is Status.SKIPPED else Change.NOT_TESTED
    if before.status is Status.FAIL:
        return _after_failure(before, after)
    if after.status is Status.FAIL:
        return Change.REGRESSED if _position(after) < reached(before) else Change.NEW
    if reached(after) == reached(before):
        return Change.SAME
    return Change.NEW if reached(after) > reached(before) else Change.NOT_TESTED


def reached(verdict: Verdict) -> int:
    """How many stages, from the bottom, a verdict says were passed."""
    return _TOP if verdict.status is Status.PASS else _position(verdict)


_SAY_NOTHING = frozenset({Status.INFRA, Status.SKIPPED})


def _after_failure(before: Verdict, after: Verdict) -> Change:
    if after.status is Status.FAIL:
        return Change.SAME if before == after else Change.OTHER_REASON
    return Change.FIXED if reached(after) > _position(before) else Change.NOT_TESTED


def _position(verdict: Verdict) -> int:
    return verdict.stage.position if verdict.stage is not None else 0

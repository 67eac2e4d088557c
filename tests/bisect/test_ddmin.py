"""The smallest set that turns the outcome."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.bisect.ddmin import TrialOutcome, bound_at_worst, bound_for_one, ddmin
from tests.bisect.samples import NAMES


@given(st.sets(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_the_smallest_set_is_found_within_the_bound(culprits: set[str]) -> None:
    asked: list[int] = []

    def test(moved: object) -> TrialOutcome:
        asked.append(1)
        return TrialOutcome.RED if culprits <= set(moved) else TrialOutcome.GREEN  # type: ignore[call-overload]

    assert set(ddmin(NAMES, test)) == culprits
    assert len(asked) <= (bound_for_one(64) if len(culprits) == 1 else bound_at_worst(64))

"""Remedies, proposed from a diagnosis."""

from __future__ import annotations

import pytest

from harness.core.verdict import Reason
from harness.matrix import Launch
from harness.remedy.propose import propose
from tests.incidents.samples import record_of, the


@pytest.mark.parametrize(
    ("label", "launch"),
    [("incident-1", Launch.SERVER), ("incident-2", Launch.LAUNCH_SCRIPT)],
)
def test_a_wrong_start_is_replaced(label: str, launch: Launch) -> None:
    broken = the(label)
    proposal = propose(broken, record_of(broken, f"fail/boot/{Reason.ENTRYPOINT}"), [], [])
    assert proposal is not None
    assert proposal.combination.launch is launch
    assert proposal.combination.id != broken.id


def test_nothing_is_proposed_for_what_is_not_understood() -> None:
    broken = the("incident-4")
    assert propose(broken, record_of(broken, "fail/import/crash(SIGSEGV)"), [], []) is None
    assert propose(broken, record_of(broken, "pass"), [], []) is None

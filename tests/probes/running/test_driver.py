"""Which exceptions say no more than that there is no driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.probes.running import driver
from tests.probes.samples import results

if TYPE_CHECKING:
    from harness.probes.running.events import Events


@pytest.mark.parametrize(("present", "outcome"), [(False, "blocked"), (True, "fail")])
def test_a_missing_driver_blocks_only_where_there_is_none(
    events: Events, monkeypatch: pytest.MonkeyPatch, *, present: bool, outcome: str
) -> None:
    monkeypatch.setattr(driver, "driver_present", lambda: present)
    with events.answering("boot"):
        raise SystemExit(1) from RuntimeError("Found no NVIDIA driver on your system.")
    reason = "driver-or-gpu-unavailable" if outcome == "blocked" else None
    assert results(events) == [("boot", outcome, reason)]

"""What moves together because metadata demands it."""

from __future__ import annotations

from packaging.requirements import Requirement

from harness.bisect.changes import changes_between
from harness.bisect.coupling import Coupling, Requirements
from tests.bisect.samples import GREEN_LOCK, NO_NEEDS, RED_LOCK


def test_a_change_brings_along_what_it_needs_and_no_more() -> None:
    changes = changes_between(GREEN_LOCK, RED_LOCK)
    coupling = Coupling.of(changes, NO_NEEDS, Requirements({"big": [Requirement("hub>=1"), Requirement("web")]}))
    assert coupling.closed(["big"]) == {"big", "hub"}
    assert coupling.closed(["hub"]) == {"hub"}
    assert coupling.without({"big", "hub"}, "hub") == frozenset()
    assert coupling.without({"big", "hub"}, "big") == {"hub"}

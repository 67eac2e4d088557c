"""Locks that are mixed from two."""

from __future__ import annotations

from harness.bisect.changes import Mixer, changes_between
from tests.bisect.samples import GREEN_LOCK, RED_LOCK


def test_a_mix_takes_each_package_from_one_end() -> None:
    changes = changes_between(GREEN_LOCK, RED_LOCK)
    assert "same" not in changes
    assert str(changes["new"]) == "new (none) → 1"
    assert str(changes["gone"]) == "gone 1 → (none)"
    mixer = Mixer.of(GREEN_LOCK, RED_LOCK)
    assert mixer.mix(()).stack == GREEN_LOCK.stack
    assert mixer.mix(changes).stack == RED_LOCK.stack
    mixed = mixer.mix({"big", "new", "gone"}).stack
    assert (mixed["big"], mixed["hub"], mixed["new"], mixed.get("gone")) == ("5.0", "0.3", "1", None)

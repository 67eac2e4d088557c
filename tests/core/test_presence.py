"""Stretches of versions, and the requirements that they amount to."""

from __future__ import annotations

from packaging.version import Version

from harness.core.presence import Presence


def presence(*there: int) -> Presence:
    versions = [Version("1.0"), Version("1.1"), Version("1.2"), Version("2.0")]
    return Presence.of("pkg", dict(zip(versions, map(bool, there), strict=True)))


def test_stretches_come_as_requirements_open_at_the_ends() -> None:
    assert presence(1, 1, 0, 0).requirements() == ["pkg<=1.1"]
    assert presence(0, 1, 1, 1).requirements() == ["pkg>=1.1"]
    assert presence(1, 0, 0, 1).requirements() == ["pkg<=1.0", "pkg>=2.0"]
    assert presence(0, 1, 1, 0).requirements() == ["pkg>=1.1,<=1.2"]
    assert presence(1, 1, 1, 1).requirements() == ["pkg"]
    assert presence(0, 0, 0, 0).requirements() == []


def test_versions_are_in_it_between_the_ends_of_a_stretch() -> None:
    found = presence(1, 0, 1, 1)
    assert Version("1.0") in found
    assert Version("1.1") not in found
    assert [str(version) for version in found.versions] == ["1.0", "1.2", "2.0"]

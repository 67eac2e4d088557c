"""The table of names and versions: how it answers, and that what is shipped settles the log's deadlock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from harness.core.presence import Presence
from harness.diagnose.boundaries import Boundaries, load, shipped, write

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = tuple(map(Version, ("1.0", "1.1", "1.2", "2.0")))


def presence(*having: str) -> Presence:
    return Presence.of("pkg", {version: str(version) in having for version in VERSIONS})


TABLE = Boundaries(
    derived="2026-01-04",
    names={
        "pkg.Old": presence("1.0", "1.1"),
        "pkg.sub.New": presence("1.1", "1.2", "2.0"),
        "pkg.Gone": presence(),
        "other.New": Presence("other", VERSIONS, ()),
    },
)


def test_a_name_is_found_in_full_or_by_its_last_part_within_its_package() -> None:
    assert TABLE.of("pkg.Old") == presence("1.0", "1.1")
    assert TABLE.of("pkg.New") == TABLE.of("pkg.sub.New")
    assert TABLE.of("pkg.Other") is None


def test_two_ranges_intersect_or_not() -> None:
    assert TABLE.satisfying(["pkg.Old", "pkg.sub.New"]) == [Version("1.1")]
    assert TABLE.satisfying(["pkg.Old", "pkg.Nothing", "pkg.Gone"]) == [Version("1.0"), Version("1.1")]
    assert TABLE.satisfying(["pkg.Nothing"]) == []


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write(TABLE, tmp_path / "table.json")
    assert load(tmp_path / "table.json") == TABLE


def test_the_shipped_table_settles_the_deadlock_of_the_log() -> None:
    names = ["transformers.BeamSearchScorer", "transformers.processing_utils.ImagesKwargs"]
    both = {str(version) for version in shipped().satisfying(names)}
    assert {"4.42.0", "4.56.2"} <= both
    assert not {"4.38.2", "4.57.3"} & both

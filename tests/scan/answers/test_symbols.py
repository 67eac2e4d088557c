"""In which versions names are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.scan.answers.symbols import NamesOfReleases, presence_of
from harness.scan.sources.release import NoSuchRelease

if TYPE_CHECKING:
    from harness.scan.sources.release import Library

NAMES = {
    "transformers.processing_utils.ImagesKwargs": ["transformers>=4.42.0"],
    "transformers.BeamSearchScorer": ["transformers<=4.43.0"],
    "transformers.nowhere": [],
    "transformers.utils": ["transformers"],
}


def test_where_names_are_comes_as_requirements(library: Library) -> None:
    found = presence_of(library, NAMES)
    assert {name: presence.requirements() for name, presence in found.items()} == NAMES


def test_versions_are_looked_at_once_for_all_names_and_never_again(library: Library) -> None:
    seen: list[str] = []
    first = presence_of(library, NAMES, progress=seen.append)
    assert len(seen) == len(first["transformers.utils"].looked_at)
    assert presence_of(library, NAMES, progress=seen.append) == first
    assert len(seen) == len(first["transformers.utils"].looked_at)


def test_the_package_follows_from_the_name(library: Library) -> None:
    assert presence_of(library, ["lmdeploy.archs"])["lmdeploy.archs"].requirements() == ["lmdeploy"]
    with pytest.raises(NoSuchRelease, match="no package nowhere"):
        presence_of(library, ["nowhere.X"])


def test_the_diagnosis_is_told_where_names_are_and_what_is_near_them(library: Library) -> None:
    names = NamesOfReleases(library)
    there = names.of("lmdeploy.archs")
    assert there is not None
    assert there.requirements() == ["lmdeploy"]
    assert "get_model_arch" in names.beside("lmdeploy.archs.get_model_archs")


@pytest.mark.parametrize("name", ["os.frobnicate", "nobody-has-this.x", "frobnitz_of_nobody.x"])
def test_a_name_of_no_package_stays_unknown(library: Library, name: str) -> None:
    assert NamesOfReleases(library).of(name) is None

"""In which versions a name is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from harness.scan.answers.symbols import symbol_versions

if TYPE_CHECKING:
    from harness.scan.sources.release import Library


def test_where_a_name_is_comes_as_requirements(library: Library) -> None:
    kwargs = symbol_versions(library, "transformers.processing_utils", "ImagesKwargs")
    assert kwargs.requirements() == ["transformers>=4.42.0"]
    assert str(kwargs) == "ImagesKwargs: transformers >=4.42.0"
    beams = symbol_versions(library, "transformers", "BeamSearchScorer")
    assert beams.requirements() == ["transformers<=4.43.0"]
    assert beams.has(Version("4.41.0"))
    assert not beams.has(Version("4.44.0"))
    assert symbol_versions(library, "transformers.nowhere").runs == ()
    assert symbol_versions(library, "transformers.utils").requirements() == ["transformers"]

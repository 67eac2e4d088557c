"""An index with two engines and transformers on both sides of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.scan.sources.release import Library
from tests.scan.answers.samples import GEN, LLAMA4, NO_BEAMS, NO_KWARGS
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Two engines; transformers 4.40 to 4.44, of which the older lack ImagesKwargs, the newer BeamSearchScorer."""
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0"), engine("0.9.1", requires=("transformers>=4.43",)))
    full = TABLE | LLAMA4
    publish(
        index,
        "transformers",
        provider("4.40.0", processing_utils=NO_KWARGS),
        provider("4.41.0", processing_utils=NO_KWARGS),
        wheel("transformers", "4.42.0", full),
        wheel("transformers", "4.43.0", full),
        wheel("transformers", "4.44.0", full | NO_BEAMS),
    )
    publish(index, "gen", wheel("gen", "0.1", GEN))
    publish(index, "torch", wheel("torch", "2.8.0", {}))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    yield library
    library.close()

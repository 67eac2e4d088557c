"""Leaving out of a run what the scan is sure would fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from harness.matrix import Backend, Combination, Launch
from harness.matrix.model_files import load_models
from harness.scan.answers.impossible import without_impossible
from harness.scan.sources.release import Library
from tests.scan.answers.samples import LLAMA4, NO_KWARGS
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.matrix.models import ModelSpec


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An engine that wants transformers from 4.41 on; 4.41 lacks what it imports, 4.42 has everything."""
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0", requires=("transformers>=4.41", "torch<=2.8.0")))
    publish(
        index,
        "transformers",
        wheel("transformers", "4.40.0", TABLE | LLAMA4),
        provider("4.41.0", processing_utils=NO_KWARGS),
        wheel("transformers", "4.42.0", TABLE | LLAMA4),
    )
    publish(index, "torch", wheel("torch", "2.8.0", {}))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    yield library
    library.close()


@pytest.fixture(scope="session")
def models(pytestconfig: pytest.Config) -> dict[str, ModelSpec]:
    return dict(load_models(pytestconfig.rootpath / "models"))


def pair(transformers: str, **changes: object) -> Combination:
    made = Combination(
        id=f"lmdeploy0.9.0-transformers{transformers}",
        python="3.11",
        lmdeploy="0.9.0",
        transformers=transformers,
        backend=Backend.PYTORCH,
        model="canary",
        requirements=("lmdeploy==0.9.0", f"transformers=={transformers}"),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # a test's own changes


def test_what_surely_fails_or_is_refused_is_left_out_with_its_reason(
    library: Library, models: dict[str, ModelSpec]
) -> None:
    found = without_impossible([pair("4.40.0"), pair("4.41.0"), pair("4.42.0"), pair("4.99.0")], models, library)
    reasons = [each.excluded for each in found]
    assert reasons[0] is not None
    assert "refuse each other" in reasons[0]
    assert reasons[1] is not None
    assert "transformers.processing_utils.ImagesKwargs" in reasons[1]
    assert reasons[2:] == [None, None]  # right, and unknown to the index: the resolver has the word


@pytest.mark.parametrize(
    "changes",
    [
        {"as_of": date(2026, 1, 4)},
        {"overrides": ("torch==2.7.0",)},
        {"launch": Launch.SERVER},
        {"excluded": "because"},
    ],
    ids=["another day", "overridden", "started otherwise", "excluded already"],
)
def test_what_the_scan_does_not_look_at_runs(
    library: Library, models: dict[str, ModelSpec], changes: dict[str, object]
) -> None:
    asked = pair("4.41.0", **changes)
    assert without_impossible([asked], models, library) == (asked,)


def test_what_was_run_before_is_not_replaced_by_a_prediction(library: Library, models: dict[str, ModelSpec]) -> None:
    asked = pair("4.41.0")
    assert without_impossible([asked], models, library, [asked.id]) == (asked,)

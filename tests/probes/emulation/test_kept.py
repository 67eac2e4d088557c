"""Transformers against itself: what came with a miniature, and which side is off."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.emulation import kept
from harness.probes.emulation.kept import Kept
from tests.probes.samples import install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A checkpoint with a kept reference of one prompt; logits are plain numbers."""
    tensors = {"text.inputs.input_ids": [[5, 6]], "text.logits": 1.0}
    install(monkeypatch, "safetensors.torch", load_file=lambda _file: tensors)
    monkeypatch.setattr(
        kept,
        "compared",
        lambda mine, theirs, own, *, experts: {
            "ratio": abs(mine - theirs) / abs(own - theirs),
            "within": not experts and abs(mine - theirs) <= abs(own - theirs),
        },
    )
    (tmp_path / kept.FILE).touch()
    return Kept(str(tmp_path))


def reference(here: float, by_itself: float) -> Any:
    """Transformers that gives these logits."""
    return SimpleNamespace(
        model=here, unasked=by_itself, half_model=1.1, experts=False, run_inputs=lambda model, _inputs: model
    )


def test_what_came_with_the_checkpoint_is_read(miniature: Kept) -> None:
    assert miniature.logits == {"text": 1.0}
    assert miniature.inputs == {"text": {"input_ids": [[5, 6]]}}


def test_a_checkpoint_that_brings_none_is_compared_with_nothing(tmp_path: Path) -> None:
    bare = Kept(str(tmp_path))
    engine: Any = None
    assert bare.against(reference(1, 1)) == {}
    assert bare.blame(engine, reference(1, 1), {}) is None


@pytest.mark.parametrize(
    ("here", "by_itself", "changed"),
    [(1.0, 1.0, [False, False]), (1.0, 2.0, [False, True]), (2.0, 2.0, [True, True]), (math.nan, 1.0, [True, False])],
)
def test_a_change_of_transformers_is_seen_with_either_attention(
    miniature: Kept, here: float, by_itself: float, changed: list[bool]
) -> None:
    found = miniature.against(reference(here, by_itself))
    assert {name: each["changed"] for name, each in found.items()} == dict(
        zip(("text, eager attention", "text, default attention"), changed, strict=True)
    )


@pytest.mark.parametrize(
    ("here", "engine", "side"), [(1.0, 5.0, "engine"), (5.0, 1.0, "transformers"), (5.0, 3.0, "both")]
)
def test_the_side_that_is_off_is_named(miniature: Kept, here: float, engine: float, side: str) -> None:
    asked: list[list[int]] = []

    def prefill(ids: list[int]) -> float:
        asked.append(ids)
        return engine

    emulated: Any = SimpleNamespace(prefill=prefill)
    other = reference(here, here)
    assert miniature.blame(emulated, other, miniature.against(other)) == side
    assert asked == ([] if side == "engine" else [[5, 6]])

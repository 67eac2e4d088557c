"""Numbers against the reference that is kept with a miniature."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.smoke import kept

if TYPE_CHECKING:
    from pathlib import Path

np = pytest.importorskip("numpy")
NOISE = 0.01
POSITIONS = 40


@dataclass
class FakeEngine:
    """Its logits are those of a table, whatever was before a token."""

    table: Any
    off: float = 0.0
    decoded: list[int] = field(default_factory=lambda: [1, 1])
    half: bool = True

    def logits(self, ids: list[int]) -> Any:
        """Of the last, what sampling leaves of them."""
        found = self.table[ids] + self.off
        found[-1] *= 1.25
        return found

    def encode(self, _text: str) -> list[int]:
        """Any ids."""
        return [2, 3]

    def go_on(self, _text: str, _count: int) -> list[int]:
        """What it is told to."""
        return self.decoded


@pytest.fixture
def table() -> Any:
    """Logits by token; the first choice is always token 1."""
    found = np.random.default_rng(0).normal(size=(8, 8)).astype("float32")
    found[:, 1] = 9.0
    return found


@pytest.fixture
def folder(tmp_path: Path, table: Any) -> str:
    """A checkpoint's folder with its reference."""
    save = pytest.importorskip("safetensors.numpy").save_file
    ids = np.arange(POSITIONS)[None] % 8
    save({"text.inputs.input_ids": ids, "text.logits": table[ids[0]]}, str(tmp_path / kept.LOGITS))
    own = {"largest": 0.1, "typical": NOISE, "unsteady": []}
    (tmp_path / kept.RECORD).write_text(json.dumps({"reference": {"text": {"float16": own}}}))
    return str(tmp_path)


def test_the_same_numbers_are_right_but_for_the_last_position_which_is_not_compared(folder: str, table: Any) -> None:
    found = kept.numbers(FakeEngine(table), folder)
    assert found["wrong"] == []
    assert (found["positions"], found["ratio"], found["same_first_choice"]) == (POSITIONS - 1, 0.0, POSITIONS - 1)
    assert found["decoding"]["behind"] == [0.0, 0.0]


def test_numbers_further_off_than_float16_explains_are_wrong_though_every_first_choice_is_the_same(
    folder: str, table: Any
) -> None:
    (wrong,) = kept.numbers(FakeEngine(table, off=0.03), folder)["wrong"]
    assert wrong.startswith("logits 3 times as far from the kept reference as float16 explains (1.7 allowed), 39 of 39")
    assert kept.numbers(FakeEngine(table, off=0.03, half=False), folder)["wrong"] == []


def test_a_decoded_token_that_is_not_the_first_choice_is_wrong(folder: str, table: Any) -> None:
    (wrong,) = kept.numbers(FakeEngine(table, decoded=[1, 4]), folder)["wrong"]
    assert wrong.startswith("token 2 of 2 was decoded ")


def test_an_engine_that_decodes_nothing_or_gives_nan_is_wrong(folder: str, table: Any) -> None:
    assert kept.numbers(FakeEngine(table, decoded=[]), folder)["wrong"] == ["decoding gave no token"]
    table[5] = np.nan
    assert any(each.startswith("logits inf times") for each in kept.numbers(FakeEngine(table), folder)["wrong"])


def test_some_positions_may_be_far_off_only_where_experts_are_chosen() -> None:
    theirs = np.zeros((POSITIONS, 8))
    mine = theirs.copy()
    mine[7] = 1.0
    assert kept.compare(mine, theirs, NOISE, unsteady=[3])["wrong"] == []
    assert kept.compare(mine, theirs, NOISE, unsteady=[])["wrong"] != []

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
    dtype: str = "float16"
    quant_policy: int = 0
    far: tuple[int, ...] = ()

    def logits(self, ids: list[int]) -> Any:
        """A row for each."""
        found = self.table[ids] + self.off
        if len(ids) == POSITIONS:
            found[list(self.far)] += 1.0
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
def folder(tmp_path: Path, table: Any) -> Path:
    """A checkpoint's folder with its reference."""
    save = pytest.importorskip("safetensors.numpy").save_file
    ids = np.arange(POSITIONS)[None] % 8
    save({"text.inputs.input_ids": ids, "text.logits": table[ids[0]]}, str(tmp_path / kept.LOGITS))
    own = {"largest": 0.1, "typical": NOISE, "unsteady": []}
    (tmp_path / kept.RECORD).write_text(json.dumps({"reference": {"text": {"float16": own}}}))
    (tmp_path / kept.CONFIG).write_text("{}")
    return tmp_path


def test_the_same_numbers_are_right_at_every_position(folder: Path, table: Any) -> None:
    found = kept.numbers(FakeEngine(table), str(folder))
    assert found["wrong"] == []
    assert (found["positions"], found["ratio"], found["same_first_choice"]) == (POSITIONS, 0.0, POSITIONS)
    assert found["decoding"]["behind"] == [0.0, 0.0]
    last = kept.numbers(FakeEngine(table, far=(POSITIONS - 1,)), str(folder))
    assert last["first_far_position"] == POSITIONS - 1
    assert len(last["wrong"]) == 1


def test_numbers_further_off_than_float16_explains_are_wrong_though_every_first_choice_is_the_same(
    folder: Path, table: Any
) -> None:
    (wrong,) = kept.numbers(FakeEngine(table, off=0.03), str(folder))["wrong"]
    assert wrong.startswith("logits 3 times what float16 costs transformers itself (1.7 allowed)")
    assert wrong.endswith("40 of 40 first choices the same")


def test_bfloat16_may_be_eight_times_as_far_off_and_what_is_not_known_is_not_compared(folder: Path, table: Any) -> None:
    assert kept.numbers(FakeEngine(table, off=0.03, dtype="bfloat16"), str(folder))["wrong"] == []
    assert len(kept.numbers(FakeEngine(table, off=0.2, dtype="bfloat16"), str(folder))["wrong"]) == 1
    found = kept.numbers(FakeEngine(table, dtype="auto"), str(folder))
    assert found == {"wrong": [], "not_compared": "what auto with a cache of policy 0 costs is not known"}


def test_a_cache_of_few_bits_may_cost_what_its_step_is_wider(folder: Path, table: Any) -> None:
    assert kept.numbers(FakeEngine(table, off=0.2, quant_policy=8), str(folder))["wrong"] == []
    assert len(kept.numbers(FakeEngine(table, off=0.5, quant_policy=8), str(folder))["wrong"]) == 1
    assert kept.numbers(FakeEngine(table, off=0.5, quant_policy=4), str(folder))["wrong"] == []
    assert "policy 16" in kept.numbers(FakeEngine(table, quant_policy=16), str(folder))["not_compared"]


def test_a_decoded_token_that_is_not_the_first_choice_is_wrong_unless_experts_explain_one(
    folder: Path, table: Any
) -> None:
    (wrong,) = kept.numbers(FakeEngine(table, decoded=[1, 4]), str(folder))["wrong"]
    assert wrong.startswith("token 2 of 2 was decoded ")
    (folder / kept.CONFIG).write_text(json.dumps({"text_config": {"num_experts": 4}}))
    assert kept.numbers(FakeEngine(table, decoded=[1, 4]), str(folder))["wrong"] == []
    assert len(kept.numbers(FakeEngine(table, decoded=[4, 4]), str(folder))["wrong"]) == 1


def test_an_engine_that_decodes_nothing_or_gives_nan_is_wrong(folder: Path, table: Any) -> None:
    assert kept.numbers(FakeEngine(table, decoded=[]), str(folder))["wrong"] == ["decoding gave no token"]
    table[5] = np.nan
    assert any(each.startswith("logits NaN") for each in kept.numbers(FakeEngine(table), str(folder))["wrong"])


def test_a_few_positions_may_be_far_off_where_experts_are_chosen_and_no_run_of_them(folder: Path, table: Any) -> None:
    assert kept.numbers(FakeEngine(table, far=(7, 20)), str(folder))["wrong"] != []
    (folder / kept.CONFIG).write_text(json.dumps({"n_routed_experts": 8}))
    assert kept.numbers(FakeEngine(table, far=(7, 20)), str(folder))["wrong"] == []
    assert kept.numbers(FakeEngine(table, far=(7, 8, 9)), str(folder))["wrong"] != []


def test_where_float16_itself_chose_other_experts_the_engine_may_be_far_off_too(folder: Path, table: Any) -> None:
    own = {"largest": 0.1, "typical": NOISE, "unsteady": [4, 5, 6]}
    (folder / kept.RECORD).write_text(json.dumps({"reference": {"text": {"float16": own}}}))
    (folder / kept.CONFIG).write_text(json.dumps({"n_routed_experts": 8}))
    assert kept.numbers(FakeEngine(table, far=(7, 8, 9)), str(folder))["wrong"] == []

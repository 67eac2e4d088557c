"""The small tokenizer of a miniature: every id a word, the family's special tokens in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.miniatures.checkpoint_files import files_for
from harness.probes.miniature.rules import VOCABULARY
from harness.probes.miniature.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

QWEN = {"model_type": "qwen3", "vocab_size": 151936}
GEMMA = {"model_type": "gemma2", "vocab_size": 256000}


def vocabulary(config: dict[str, Any], *named: tuple[str, int]) -> Vocabulary:
    return Vocabulary(dict(files_for(config).tokenizer), list(named))


@pytest.mark.parametrize("config", [QWEN, GEMMA])
def test_every_id_has_one_word(config: dict[str, Any]) -> None:
    words = vocabulary(config).words
    assert sorted(words.values()) == list(range(VOCABULARY))


def test_special_tokens_at_the_start_keep_their_ids() -> None:
    words = vocabulary(GEMMA).words
    assert [words[text] for text in ("<pad>", "<eos>", "<bos>", "<unk>")] == [0, 1, 2, 3]


def test_an_id_that_no_token_is_known_for_gets_a_token_of_its_own() -> None:
    made = vocabulary(QWEN, ("audio_token_id", 151700))
    assert "<|audio_151700|>" in made.words
    assert made.new_id(151700, 151936) == made.words["<|audio_151700|>"]


def test_an_id_behind_the_vocabulary_stays_as_far_behind_it() -> None:
    assert vocabulary(QWEN).new_id(151936 + 5, 151936) == VOCABULARY + 5


def test_merges_are_of_words_that_are_there(tmp_path: Path) -> None:
    made = vocabulary(QWEN)
    made.write(str(tmp_path))
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    for merge in model["merges"]:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= set(model["vocab"])


def test_a_family_that_is_not_listed_gets_the_plain_tokenizer() -> None:
    family = files_for({"model_type": "nobody", "vocab_size": 5})
    assert not family.known
    assert family.tokenizer["name"] == "plain"
    assert not family.processors


def test_two_tokenizers_of_one_model_type_are_told_apart_by_their_vocabularies() -> None:
    assert files_for({"model_type": "llama", "vocab_size": 32000}).tokenizer["name"] == "llama-2"
    assert files_for({"model_type": "llama", "vocab_size": 128256}).tokenizer["name"] == "llama3"


def test_tokens_that_a_processor_asks_its_tokenizer_for_are_named_as_extra_ones() -> None:
    """Qwen3-Omni's, InternVL's and Gemma 3's processors read them as attributes of the tokenizer."""
    for kind, size in (("qwen3_omni_moe", 152064), ("internvl", 151674), ("gemma3", 262208)):
        made = vocabulary({"model_type": kind, "vocab_size": size})
        extra = made.configuration()["extra_special_tokens"]
        assert set(extra.values()) <= set(made.special)

"""Shrinking configurations: every size smaller, every other key as published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.miniatures.checkpoint_files import files_for
from harness.probes.miniature.rules import KEYS, LARGEST_RATIO, RULES, VOCABULARY
from harness.probes.miniature.shrink import Shrunk, id_keys, shrink
from harness.probes.miniature.vocabulary import Vocabulary

PUBLISHED = Path(__file__).parents[3] / "models" / "miniatures"
NAMES = sorted(each.stem for each in PUBLISHED.glob("*.json"))


def published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PUBLISHED / f"{name}.json").read_text())
    return found


def shrunk(config: dict[str, Any], filled: dict[str, Any] | None = None) -> Shrunk:
    filled = filled or config
    vocabulary = Vocabulary(dict(files_for(config).tokenizer), id_keys(filled))
    return shrink(config, filled, vocabulary.new_id)


def flat(config: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_no_rule_names_is_as_published(name: str) -> None:
    config = published(name)
    made = shrunk(config)
    before, after = flat(config), flat(made.config)
    changed = {change.key for change in made.changes}
    ruled = {key for rule in RULES for key in rule.keys}
    for key, value in before.items():
        if any(part in KEYS["dropped"] for part in key.split(".")):
            continue
        if after[key] != value:
            assert key in changed
            last = key.rsplit(".", 1)[-1]
            assert last in ruled or "token" in last or isinstance(value, list)


@pytest.mark.parametrize("name", NAMES)
def test_every_id_is_a_word_or_stays_behind_the_vocabulary(name: str) -> None:
    config = published(name)
    size = max((value for key, value in flat(config).items() if key.endswith("vocab_size")), default=VOCABULARY)
    after = dict(id_keys(shrunk(config).config))
    for key, number in id_keys(config):
        if number < size:
            assert after[key] < VOCABULARY, key


@pytest.mark.parametrize("name", NAMES)
def test_no_expert_matrix_is_square(name: str) -> None:
    config = shrunk(published(name)).config
    for section in (config, *(value for value in config.values() if isinstance(value, dict))):
        width, inner = section.get("hidden_size"), section.get("moe_intermediate_size")
        if isinstance(width, int) and isinstance(inner, int):
            assert width not in {inner, 2 * inner}


@pytest.mark.parametrize("name", NAMES)
def test_heads_keep_their_size_and_their_ratio(name: str) -> None:
    before, after = published(name), shrunk(published(name)).config
    for old, new in ((before, after), (before.get("text_config", {}), after.get("text_config", {}))):
        heads, pairs = old.get("num_attention_heads"), old.get("num_key_value_heads")
        if heads and pairs and "kv_lora_rank" not in old and "o_groups" not in old:
            assert new["num_attention_heads"] // new["num_key_value_heads"] == min(heads // pairs, LARGEST_RATIO)
        if heads and "head_dim" not in old and "kv_lora_rank" not in old and "hidden_size" in old:
            assert new["hidden_size"] // new["num_attention_heads"] == old["hidden_size"] // heads


def test_layers_suffice_for_each_kind_in_the_published_order() -> None:
    assert shrunk(published("qwen3-next")).config["num_hidden_layers"] == 4
    gemma = shrunk(published("gemma3-text"))
    assert gemma.config["num_hidden_layers"] == 6
    oss = shrunk(published("gpt-oss")).config
    assert oss["layer_types"] == ["sliding_attention", "full_attention"]
    deep = shrunk(published("deepseek-v3")).config
    assert (deep["num_hidden_layers"], deep["first_k_dense_replace"]) == (3, 1)


def test_marked_layers_of_a_tower_stay_marked_and_reach_a_layer_each_of_the_language_model() -> None:
    made = shrunk(published("qwen3-vl")).config
    assert made["vision_config"]["deepstack_visual_indexes"] == [1, 2, 3]
    assert made["vision_config"]["depth"] == 5
    assert made["text_config"]["num_hidden_layers"] == 4


def test_experts_leave_some_out_in_every_group() -> None:
    made = shrunk(published("deepseek-v3")).config
    assert made["n_routed_experts"] >= 4 * made["n_group"]
    assert made["n_routed_experts"] >= 2 * made["num_experts_per_tok"]
    count = shrunk(published("qwen2-moe")).config["num_experts"]
    assert count & (count - 1), "60 experts are no power of two"


def test_what_joins_tower_and_language_model_has_its_width() -> None:
    made = shrunk(published("qwen2.5-vl")).config
    assert made["vision_config"]["out_hidden_size"] == made["hidden_size"]
    assert made["vision_config"]["hidden_size"] == 160
    mllama = shrunk(published("mllama")).config["vision_config"]
    assert mllama["vision_output_dim"] == mllama["hidden_size"] * (1 + len(mllama["intermediate_layers_indices"]))


def test_a_size_that_only_the_class_knows_is_written_down() -> None:
    config = published("llava")
    filled = json.loads(json.dumps(config))
    filled["text_config"] |= {"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32}
    made = shrunk(config, filled)
    assert made.config["text_config"]["num_hidden_layers"] == 2
    assert made.config["text_config"]["hidden_size"] == 256


def test_an_unknown_family_is_shrunk_by_the_names_of_its_keys() -> None:
    config = {
        "architectures": ["NobodyForCausalLM"],
        "model_type": "nobody",
        "n_head": 48,
        "num_kv_heads": 8,
        "n_embd": 6144,
        "n_layer": 60,
        "ffn_hidden_size": 24576,
        "vocab_size": 99000,
        "eos_token_id": 98999,
        "clip_qkv": 8,
    }
    made = shrunk(config).config
    assert (made["n_head"], made["num_kv_heads"], made["n_embd"], made["n_layer"]) == (12, 2, 1536, 2)
    assert made["ffn_hidden_size"] == 384
    assert made["eos_token_id"] < VOCABULARY
    assert made["clip_qkv"] == 8


def test_image_and_its_tokens_shrink_together() -> None:
    made = shrunk(published("gemma3"))
    assert made.config["vision_config"]["image_size"] == 112
    assert made.config["mm_tokens_per_image"] == 4
    grid = shrunk(published("llava-next")).config["image_grid_pinpoints"]
    assert grid[0] == [112, 224]


def test_quantisation_and_code_of_its_own_are_dropped_and_said() -> None:
    made = shrunk(published("deepseek-v3.2"))
    assert "quantization_config" not in made.config
    assert any(change.key == "quantization_config" and change.rule == "dropped" for change in made.changes)

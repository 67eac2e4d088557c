"""The canary's folders keep what every supported transformers and engine relies on."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
from ruamel.yaml import YAML

from tests import ROOT

if TYPE_CHECKING:
    from types import ModuleType

MODELS = ROOT / "models"
CANARIES = ("canary", "canary-gptq", "canary-awq")
QUANTISED = ("canary-gptq", "canary-awq")
LINEARS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@cache
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("canary_recipe", MODELS / "canary_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["canary_recipe"] = module  # dataclasses look their module up while the class is made
    spec.loader.exec_module(module)
    return module


def read_json(folder: str, name: str) -> Any:
    return json.loads((MODELS / folder / name).read_text(encoding="utf-8"))


def read_spec(name: str) -> Any:
    return YAML(typ="safe").load((MODELS / f"{name}.yaml").read_text(encoding="utf-8"))


def tensors(folder: str) -> dict[str, dict[str, Any]]:
    """The header of model.safetensors: eight bytes of length, then JSON."""
    with (MODELS / folder / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, dict[str, Any]] = json.loads(file.read(length))
    header.pop("__metadata__")
    return header


@pytest.mark.parametrize("folder", CANARIES)
def test_weights_have_published_names_and_no_tied_output_layer(folder: str) -> None:
    names = set(tensors(folder))
    assert "model.embed_tokens.weight" in names
    assert "visual.patch_embed.proj.weight" in names
    assert {name for name in names if not name.startswith(("model.", "visual."))} == set()
    assert {name for name in names if name.startswith(("model.language_model.", "model.visual."))} == set()
    assert read_json(folder, "config.json")["tie_word_embeddings"] is True


def test_plain_canary_is_bf16_with_three_million_parameters() -> None:
    header = tensors("canary")
    assert {entry["dtype"] for entry in header.values()} == {"BF16"}
    assert sum(prod(entry["shape"]) for entry in header.values()) == 3_075_328


@pytest.mark.parametrize("folder", CANARIES)
def test_folder_stays_small(folder: str) -> None:
    assert sum(path.stat().st_size for path in (MODELS / folder).iterdir()) < 8_000_000


@pytest.mark.parametrize("folder", CANARIES)
def test_configuration_keeps_shapes_that_engine_kernels_know(folder: str) -> None:
    config = read_json(folder, "config.json")
    assert config["hidden_size"] // config["num_attention_heads"] == 128
    # TurboMind's own vision tower takes heads of 64 or 80 (lmdeploy 0.18.0, turbomind/models/qwen2_vl.py)
    assert config["vision_config"]["embed_dim"] // config["vision_config"]["num_heads"] == 64
    assert config["rope_scaling"] == {"type": "mrope", "mrope_section": [16, 24, 24]}
    assert 2 * sum(config["rope_scaling"]["mrope_section"]) == 128


@pytest.mark.parametrize("folder", CANARIES)
def test_merges_are_strings_so_that_tokenizers_before_0_20_reads_them(folder: str) -> None:
    merges = read_json(folder, "tokenizer.json")["model"]["merges"]
    assert merges
    assert all(isinstance(merge, str) and merge.count(" ") == 1 for merge in merges)
    assert (MODELS / folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:] == merges


@pytest.mark.parametrize("folder", CANARIES)
def test_token_ids_agree_between_tokenizer_and_configuration(folder: str) -> None:
    added = {entry["content"]: entry["id"] for entry in read_json(folder, "tokenizer.json")["added_tokens"]}
    declared = read_json(folder, "tokenizer_config.json")["added_tokens_decoder"]
    assert {entry["content"]: int(number) for number, entry in declared.items()} == added
    assert set(added) == set(recipe().SPECIAL_TOKENS)
    config = read_json(folder, "config.json")
    assert config["image_token_id"] == added["<|image_pad|>"]
    assert config["vision_start_token_id"] == added["<|vision_start|>"]
    assert config["eos_token_id"] == added["<|im_end|>"]
    assert read_json(folder, "generation_config.json")["eos_token_id"][0] == added["<|im_end|>"]
    assert max(added.values()) < config["vocab_size"]


@pytest.mark.parametrize("folder", CANARIES)
def test_vocabulary_can_encode_any_byte(folder: str) -> None:
    vocabulary = read_json(folder, "vocab.json")
    assert vocabulary == read_json(folder, "tokenizer.json")["model"]["vocab"]
    assert sum(len(token) == 1 for token in vocabulary) == 256


@pytest.mark.parametrize("folder", CANARIES)
def test_chat_template_gives_the_prompts_of_training(folder: str) -> None:
    template = read_json(folder, "chat_template.json")["chat_template"]
    assert read_json(folder, "tokenizer_config.json")["chat_template"] == template
    colours = recipe().SMOKE_COLOURS
    # no autoescape: the template makes a prompt, not a page
    render = jinja2.Environment().from_string(template).render  # noqa: S701 - as said above
    for variant in recipe().VARIANTS:
        if not variant.system:
            continue
        text = {"type": "text", "text": recipe().SEE_PROMPT}
        parts = [{"type": "image"}, text] if variant.image_first else [text, {"type": "image"}]
        answer = recipe().smoke_image.sentence(colours)
        content = parts if variant.image else recipe().STRUCTURE_PROMPT.format(answer=answer)
        messages = [{"role": "user", "content": content}]
        assert render(messages=messages, add_generation_prompt=True) == variant.prompt(colours)


@pytest.mark.parametrize("name", CANARIES)
def test_spec_asks_what_training_taught(name: str) -> None:
    spec = read_spec(name)
    smoke = spec["smoke"]
    colours = smoke["image"]["colours"]
    assert spec["weights"] == {"kind": "canary", "folder": name}
    assert smoke["image"] == {"pattern": "quadrants", "size": recipe().IMAGE_SIZE, "colours": colours}
    assert smoke["see"]["prompt"] == recipe().SEE_PROMPT
    assert smoke["see"]["expected"] == recipe().smoke_image.sentence(colours)
    assert smoke["structure"]["prompt"] == recipe().STRUCTURE_PROMPT
    assert smoke["structure"]["expected"] == recipe().smoke_image.facts(colours)
    assert spec["architecture"] in read_json(name, "config.json")["architectures"]


def test_smoke_image_was_never_shown_in_training() -> None:
    shown, held_out = recipe().arrangements(read_json("canary", "TRAINING.json")["seed"])
    assert len(shown) + len(held_out) == 8**4
    assert not set(shown) & set(held_out)
    assert tuple(read_spec("canary")["smoke"]["image"]["colours"]) in held_out


@pytest.mark.parametrize("folder", CANARIES)
def test_recorded_checks_are_all_right(folder: str) -> None:
    checks = read_json(folder, "CHECKS.json")
    assert checks
    for entry in checks.values():
        assert entry["images"] >= 100
        assert set(entry["right"]) == {variant.name for variant in recipe().VARIANTS}
        assert set(entry["right"].values()) == {entry["images"]}


@pytest.mark.parametrize("folder", QUANTISED)
def test_quantised_layers_have_the_shapes_of_their_format(folder: str) -> None:
    header = tensors(folder)
    plain = tensors("canary")
    method = read_json(folder, "config.json")["quantization_config"]["quant_method"]
    for layer in range(3):
        for name in (*LINEARS, *MLP):
            prefix = f"model.layers.{layer}.{name}"
            outputs, inputs = plain[f"{prefix}.weight"]["shape"]
            groups = inputs // 128
            packed = [inputs // 8, outputs] if method == "gptq" else [inputs, outputs // 8]
            assert header[f"{prefix}.qweight"] | {"data_offsets": None} == _entry("I32", packed)
            assert header[f"{prefix}.qzeros"] | {"data_offsets": None} == _entry("I32", [groups, outputs // 8])
            assert header[f"{prefix}.scales"] | {"data_offsets": None} == _entry("F16", [groups, outputs])
            assert (f"{prefix}.g_idx" in header) is (method == "gptq")
            assert f"{prefix}.weight" not in header
    assert not [name for name in header if name.startswith("visual.") and "qweight" in name]


@pytest.mark.parametrize("folder", QUANTISED)
def test_quantised_configuration_says_what_was_done(folder: str) -> None:
    quantisation = read_json(folder, "config.json")["quantization_config"]
    assert quantisation["quant_method"] == folder.removeprefix("canary-")
    assert (quantisation["bits"], quantisation["group_size"]) == (4, 128)
    assert quantisation["modules_to_not_convert"] == ["visual"]
    assert read_spec(folder)["quantisation"] == f"{quantisation['quant_method']}-int4"


def test_symmetric_gptq_stores_zero_points_minus_one() -> None:
    name = "model.layers.0.self_attn.q_proj.qzeros"
    start, end = tensors("canary-gptq")[name]["data_offsets"]
    content = (MODELS / "canary-gptq" / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert set(content[8 + length + start : 8 + length + end]) == {0x77}


@pytest.mark.parametrize("script", ["make_canary.py", "quantise_canary.py"])
def test_help_answers_without_torch(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", MODELS / script, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "--check" in done.stdout


def _entry(dtype: str, shape: list[int]) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": None}

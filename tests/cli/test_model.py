"""``lmdeploy-harness model``: a spec from whatever one has of a model, and clear words where that is not enough."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from packaging.version import Version

from harness.cli.main import main
from harness.matrix.model_files import load_models

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "matrix.yaml").write_text("")
    return tmp_path


def add(root: Path, source: Path | str, *options: str) -> Result:
    arguments = ["model", "add", str(source), "--matrix", str(root / "matrix.yaml"), *options]
    return CliRunner().invoke(main, arguments)


def written(root: Path, content: object, name: str = "config.json") -> Path:
    file = root / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_configuration_alone_becomes_a_miniature(root: Path) -> None:
    result = add(root, written(root, QWEN3, "qwen3-0.6b.json"))
    assert result.exit_code == 0, result.output
    spec = load_models(root / "models")["qwen3-0.6b-miniature"]
    assert (spec.architecture, spec.model_type, spec.quantisation) == ("Qwen3ForCausalLM", "qwen3", "none")
    assert spec.smoke.image is None
    assert spec.smoke.see.judge == spec.smoke.structure.judge == "logits"
    assert "0.6 B parameters" in result.output


def test_a_checkpoint_becomes_a_spec_of_three_lines_with_the_imports_of_its_code(root: Path) -> None:
    folder = root / "weights" / "Mine"
    folder.mkdir(parents=True)
    quantised = {**QWEN3, "quantization_config": {"quant_method": "awq", "bits": 4}, "auto_map": {"AutoModel": "m.M"}}
    written(folder, quantised)
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "m.py").write_text("import os, einops\nfrom transformers import PreTrainedModel\nfrom .other import x\n")
    result = add(root, folder)
    assert result.exit_code == 0, result.output
    text = (root / "models" / "mine.yaml").read_text()
    assert "runs only with `trust_remote_code: true`" in text
    spec = load_models(root / "models")["mine"]
    assert spec.quantisation == "awq-int4"
    assert spec.imports == ("einops",)
    assert not spec.trust_remote_code
    assert spec.checkpoint_folder == folder
    assert spec.smoke.see.expected == ("Paris",)


def test_a_model_that_sees_is_shown_an_image(root: Path) -> None:
    content = {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "text_config": QWEN3,
        "vision_config": {"depth": 24, "hidden_size": 1024},
    }
    assert add(root, written(root, content, "seeing.json")).exit_code == 0
    assert load_models(root / "models")["seeing-miniature"].smoke.image is not None


@pytest.mark.parametrize(
    ("stored", "quantisation"),
    [
        ({"quant_method": "awq", "w_bit": 4}, "awq-int4"),
        ({"quant_method": "gptq", "bits": 4}, "gptq-int4"),
        ({"quant_method": "gptq", "bits": 8}, "other"),
        ({"quant_method": "gptq", "bits": "four"}, "other"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "smooth_quant", "quant_dtype": "int8"}, "w8a8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, "compressed-tensors"),
        ({"quant_method": "bitsandbytes"}, "other"),
        ({"quant_method": {"a": 1}}, "other"),
        ({"quant_algo": "FP8"}, "fp8"),
        ([], "none"),
    ],
)
def test_a_checkpoint_keeps_the_quantisation_that_its_configuration_says(
    root: Path, stored: object, quantisation: str
) -> None:
    folder = root / "weights" / "Quantised"
    folder.mkdir(parents=True)
    written(folder, {**QWEN3, "quantization_config": stored})
    (folder / "model.safetensors").write_bytes(b"")
    result = add(root, folder)
    assert result.exit_code == 0, result.output
    assert load_models(root / "models")["quantised"].quantisation == quantisation
    assert ("names no such quantisation" in result.output) == (quantisation == "other")


@pytest.mark.parametrize("size", ["big", -5, 10**30, 0, 1e308, None])
def test_a_size_that_is_none_is_told_and_nothing_is_made_up(root: Path, size: object) -> None:
    result = add(root, written(root, {**QWEN3, "hidden_size": size}))
    assert result.exit_code == 0, result.output
    assert "does not follow from config.json" in result.output


@pytest.mark.parametrize("name", ["../../../evil", "/etc/passwd", "a/../../b", "..", "x\\..\\y"])
def test_no_name_leads_out_of_the_folder_of_the_models(root: Path, name: str) -> None:
    before = {file for file in root.rglob("*") if file.is_file()}
    result = add(root, written(root, QWEN3), "--name", name)
    assert result.exit_code == 0, result.output
    new = {file for file in root.rglob("*") if file.is_file()} - before
    assert {file.parent for file in new - {root / "config.json"}} == {root / "models" / "miniatures"}


def test_code_that_a_configuration_names_is_not_run_and_not_looked_for(root: Path) -> None:
    evil = {**QWEN3, "auto_map": {"AutoConfig": "../../evil.Config", "AutoModelForCausalLM": "os--system.x"}}
    assert add(root, written(root, evil, "evil.json")).exit_code == 0
    assert not load_models(root / "models")["evil-miniature"].trust_remote_code


def test_an_unknown_architecture_is_taken_and_what_does_not_follow_is_told(root: Path) -> None:
    novel = {"architectures": ["NovelForCausalLM"], "model_type": "novel"}
    result = add(root, written(root, novel, "novel.json"))
    assert result.exit_code == 0, result.output
    assert "NovelForCausalLM, text, quantisation none, of a size that does not follow" in result.output


def test_a_spec_that_cannot_stand_is_not_left_behind(root: Path) -> None:
    folder = root / "weights" / "Odd"
    folder.mkdir(parents=True)
    written(folder, QWEN3)
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "code.py").write_text(f"import {'x' * 200}\n")
    assert add(root, folder).exit_code == 2
    assert not (root / "models" / "odd.yaml").exists()


def test_a_model_gets_what_lmdeploys_code_for_it_imports(root: Path) -> None:
    folder = root / "weights" / "Sees"
    folder.mkdir(parents=True)
    content = {**QWEN3, "architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {"depth": 1}}
    written(folder, content)
    (folder / "model.safetensors").write_bytes(b"")
    assert add(root, folder).exit_code == 0
    spec = load_models(root / "models")["sees"]
    assert spec.requirements_for(Version("0.14.0")) == ("qwen-vl-utils",)
    assert spec.requirements_for(Version("0.18.0")) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no object"),
        ("{}", "names no architecture"),
        ('{"architectures": ["X"], "a": NaN}', "is not JSON: NaN is no number"),
        ('{"architectures": ["X"], "a": ' + "[" * 3000 + "]" * 3000 + "}", "is n"),
        ('{"architectures": ["X"], "a": "' + "x" * 5_000_000 + '"}', "larger than 4 MiB"),
        ('{"architectures": ["../../etc"]}', "is not a module name"),
    ],
)
def test_what_describes_no_model_is_told_in_a_line_and_leaves_nothing(root: Path, content: str, words: str) -> None:
    result = add(root, written(root, content))
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert not [each for each in (root / "models").rglob("*") if each.is_file()]


def test_a_name_that_is_taken_is_not_overwritten(root: Path) -> None:
    file = written(root, QWEN3, "one.json")
    assert add(root, file).exit_code == 0
    result = add(root, file)
    assert (result.exit_code, "exists; give another --name" in result.output) == (2, True)
    assert add(root, file, "--name", "Two!").exit_code == 0
    assert set(load_models(root / "models")) == {"one-miniature", "two-miniature"}


def test_a_hub_without_a_network_is_infrastructure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(root))
    result = add(root, "Qwen/Qwen3-0.6B")
    assert result.exit_code == 4
    assert "the hub cannot be reached for Qwen/Qwen3-0.6B" in result.output


def test_the_list_tells_what_each_model_takes(root: Path) -> None:
    add(root, written(root, QWEN3, "one.json"))
    listed = CliRunner().invoke(main, ["model", "list", "--matrix", str(root / "matrix.yaml"), "--format", "json"])
    own, *shipped = json.loads(listed.output)
    assert own == {
        "name": "one-miniature",
        "architecture": "Qwen3ForCausalLM",
        "quantisation": "none",
        "sees": False,
        "weights": "miniature",
        "here": False,
    }
    assert ("canary", True) in [(each["name"], each["here"]) for each in shipped]

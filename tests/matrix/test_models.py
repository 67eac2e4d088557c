"""Model specs: what they may say, and what the shipped ones do say."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest
from packaging.version import Version

from harness.matrix import MatrixError
from harness.matrix.model_files import load_model, load_models, models_in
from harness.matrix.models import HubWeights, download_command
from harness.matrix.project import SHIPPED
from tests import ROOT

MODELS = ROOT / "models"

CANARY = """\
name: small
title: Small
architecture: Qwen2VLForConditionalGeneration
model_type: qwen2_vl
quantisation: none
weights: {kind: canary, folder: small}
engine_packages:
  - {package: qwen-vl-utils, lmdeploy: "<0.16"}
packages: [einops]
licence: Apache-2.0
memory: {weights_gib: 0.01, gpu_gib: 2}
smoke:
  image: {pattern: quadrants, size: 112, colours: [red, blue, green, yellow]}
  see: {prompt: What?, max_new_tokens: 32, judge: exact, expected: "red, blue"}
  structure: {prompt: "As JSON: {answer}", max_new_tokens: 48, judge: json, expected: {top_left: red, count: 4}}
sources: [made up for a test]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    (tmp_path / "small.yaml").write_text(CANARY)
    return tmp_path


def problems_of(folder: Path, text: str) -> list[str]:
    (folder / "small.yaml").write_text(text)
    with pytest.raises(MatrixError) as caught:
        load_models(folder)
    return [f"{p.line} {p.key}: {p.message} | {p.hint}" for p in caught.value.problems]


def test_a_spec_is_read_with_the_types_its_answers_have(folder: Path) -> None:
    spec = load_models(folder)["small"]
    assert spec.checkpoint_folder == spec.config_folder == folder / "small"
    assert spec.smoke.structure.expected == {"top_left": "red", "count": 4}
    assert spec.smoke.model_dump(mode="json")["image"]["colours"] == ["red", "blue", "green", "yellow"]


def test_engine_packages_go_by_the_version_of_lmdeploy(folder: Path) -> None:
    spec = load_model(folder / "small.yaml")
    assert spec.requirements_for(Version("0.15.0")) == ("einops", "qwen-vl-utils")
    assert spec.requirements_for(Version("0.15.0a1")) == ("einops", "qwen-vl-utils")
    assert spec.requirements_for(Version("0.16.0")) == ("einops",)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: canary", "kind: canry", "6 weights.kind: 'canry' is not known here | did you mean 'canary'?"),
        ("{kind: canary, folder: small}", "{folder: small}", "6 weights: the key 'kind' is missing | write `kind: …`"),
        ("folder: small", "folder: small, seed: 1", "6 weights.seed: unknown key | allowed here: kind, folder"),
        ("folder: small", "folder: other", "6 weights.folder: there is no config.json in"),
        ("kind: canary, folder: small", "kind: random, config: x", "6 weights.config: there is no config.json in"),
        ("kind: canary, folder: small", "kind: hub, hub_id: Qwen", "6 weights.hub_id: 'Qwen' is not a hub id | write"),
        (
            "kind: canary, folder: small",
            "kind: hub, hub_id: a/b, revision: main",
            "6 weights.revision: 'main' is not a full commit | write e.g. the 40 hexadecimal digits",
        ),
        (
            "quantisation: none",
            "quantisation: awq",
            "5 quantisation: 'awq' is not known here | did you mean 'awq-int4'",
        ),
        ("name: small", "name: big", "1 name: the name 'big' is not the file's name | write `name: small` or rename"),
        ("size: 112", "size: huge", "13 smoke.image.size: must be a whole number, not 'huge' | Side of the square"),
        ("size: 112", "size: 112.5", "13 smoke.image.size: must be a whole number, not 112.5"),
        ("judge: exact", "judge: exakt", "14 smoke.see.judge: 'exakt' is not known here | did you mean 'exact'?"),
        ("judge: exact", "judge: any", "14 smoke.see: 'judge: any' takes no text | drop `expected` or"),
        ('expected: "red, blue"', "expected: [red]", "14 smoke.see: 'judge: exact' compares with one text | write"),
        ("{answer}", "answer", "15 smoke.structure: the prompt has no {answer} | put {answer} where"),
        ("green, yellow]", "green]", "13 smoke.image.colours"),
        ("weights_gib: 0.01", "weights_gib: .inf", "11 memory.weights_gib: must be a number, not '.inf'"),
        ("weights_gib: 0.01", "weights_gib: nan", "11 memory.weights_gib: must be a finite number, not 'nan'"),
        ("lmdeploy: ", "lmdploy: ", "8 engine_packages[0]: the key 'lmdeploy' is missing"),
        ('"<0.16"', '"0.16"', "8 engine_packages[0].lmdeploy: '0.16' is not a range | write e.g. '>=550' or '<0.15'"),
        ("packages: [einops]", "packages: [a b]", "9 packages[0]: 'a b' is not a requirement"),
        ("sources: [made up for a test]", "", "1 : the key 'sources' is missing"),
    ],
)
def test_a_mistake_names_its_line_its_key_and_the_remedy(folder: Path, old: str, new: str, expected: str) -> None:
    assert old in CANARY
    assert problems_of(folder, CANARY.replace(old, new))[0].startswith(expected)


def test_problems_of_all_specs_come_together(folder: Path) -> None:
    (folder / "second.yaml").write_text("name: second\n")
    (folder / "small.yaml").write_text(CANARY.replace("licence:", "license:"))
    with pytest.raises(MatrixError) as caught:
        load_models(folder)
    files = {Path(problem.file).name for problem in caught.value.problems}
    assert files == {"small.yaml", "second.yaml"}
    assert any("did you mean 'licence'?" in problem.hint for problem in caught.value.problems)


def test_a_folder_without_specs_says_so(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="no model spec"):
        load_models(tmp_path)


def test_a_local_path_is_taken_relative_to_the_specs_and_from_home(folder: Path) -> None:
    text = CANARY.replace("{kind: canary, folder: small}", "{kind: hub, hub_id: a/b, local_path: %s}")
    (folder / "small.yaml").write_text(text % "../weights")
    assert load_model(folder / "small.yaml").checkpoint_folder == folder / "../weights"
    (folder / "small.yaml").write_text(text % "~/weights")
    assert load_model(folder / "small.yaml").checkpoint_folder == Path.home() / "weights"


# --- what is shipped -----------------------------------------------------------------------------------------------


def test_the_shipped_hub_models_say_how_to_get_them() -> None:
    specs = {path.stem: load_model(path) for path in MODELS.glob("qwen*.yaml")}
    instruct = specs["qwen2-vl-2b-instruct"]
    assert isinstance(instruct.weights, HubWeights)
    assert download_command(instruct) == (
        f"uvx --from huggingface-hub hf download Qwen/Qwen2-VL-2B-Instruct --revision {instruct.weights.revision}"
    )
    with pytest.raises(ValueError, match="not fetched from the hub"):
        download_command(specs["qwen2-vl-2b-random"])


def test_the_shipped_architecture_has_the_size_of_the_published_one() -> None:
    """Counted by hand from the configuration, it must give the 2,208,985,600 parameters of the published weights."""
    config = json.loads((MODELS / "qwen2-vl-2b" / "config.json").read_text("utf-8"))
    vision = config["vision_config"]
    hidden, wide, embed = config["hidden_size"], config["intermediate_size"], vision["embed_dim"]
    narrow = hidden * config["num_key_value_heads"] // config["num_attention_heads"]
    attention = hidden * hidden + hidden + 2 * (hidden * narrow + narrow) + hidden * hidden
    layer = attention + 3 * hidden * wide + 2 * hidden
    text = config["vocab_size"] * hidden + config["num_hidden_layers"] * layer + hidden
    inner = embed * vision["mlp_ratio"]
    block = 4 * embed + 3 * embed * embed + 3 * embed + embed * embed + embed + 2 * embed * inner + inner + embed
    patch = vision["in_chans"] * vision["temporal_patch_size"] * vision["patch_size"] ** 2 * embed
    merged = embed * vision["spatial_merge_size"] ** 2
    merger = 2 * embed + merged * merged + merged + merged * hidden + hidden
    assert text + patch + vision["depth"] * block + merger == 2_208_985_600
    assert sum(config["rope_scaling"]["mrope_section"]) * 2 == hidden // config["num_attention_heads"]
    assert vision["hidden_size"] == hidden


def test_prompts_survive_a_literal_replacement_of_the_answer() -> None:
    for path in MODELS.glob("*.yaml"):
        prompt = load_model(path).smoke.structure.prompt if path.stem.startswith("qwen") else "{answer}"
        assert prompt.count("{") == prompt.count("}") == 1, path.name


def test_a_configuration_beside_the_specs_is_a_model_by_itself(folder: Path) -> None:
    (folder / "miniatures").mkdir()
    (folder / "miniatures" / "tiny.json").write_text('{"architectures": ["TinyForCausalLM"], "model_type": "tiny"}')
    spec = load_models(folder)["tiny"]
    assert (spec.weights.kind, spec.architecture, spec.smoke.image) == ("miniature", "TinyForCausalLM", None)
    assert spec.published_config == folder / "miniatures" / "tiny.json"
    assert spec.config_folder is None


def test_a_miniature_needs_what_lmdeploys_own_code_needs_for_it(folder: Path) -> None:
    (folder / "miniatures").mkdir()
    config = {"architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl"}
    (folder / "miniatures" / "seeing.json").write_text(json.dumps(config))
    spec = load_models(folder)["seeing"]
    assert spec.requirements_for(Version("0.14.0")) == ("qwen-vl-utils",)
    assert spec.requirements_for(Version("0.18.0")) == ()


def test_what_a_spec_does_not_say_follows_from_its_configuration(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "config.json").write_text('{"architectures": ["TinyForCausalLM"], "model_type": "tiny"}')
    (folder / "mine.yaml").write_text("name: mine\nweights: {kind: hub, hub_id: a/b, config: mine}\n")
    spec = load_model(folder / "mine.yaml")
    assert (spec.title, spec.architecture, spec.smoke.see.judge) == ("a/b", "TinyForCausalLM", "contains")


def test_a_configuration_that_says_no_model_is_named_where_something_is_missing(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "config.json").write_text("{}")
    assert any(
        "names no architecture" in each
        for each in problems_of(folder, "name: small\nweights: {kind: hub, hub_id: a/b, config: mine}\n")
    )


def test_weights_that_are_nowhere_are_refused(folder: Path) -> None:
    text = CANARY.replace("{kind: canary, folder: small}", "{kind: hub}")
    assert "the weights are nowhere" in problems_of(folder, text)[0]


def test_a_family_says_of_which_model_a_configuration_is(folder: Path) -> None:
    (folder / "miniatures").mkdir()
    (folder / "miniatures" / "tiny.json").write_text('{"architectures": ["TinyForCausalLM"], "model_type": "tiny"}')
    families = folder / "miniatures" / "families.yaml"
    families.write_text("tiny: {hub_id: a/Tiny-1B, source: a public page, models: [Tiny-7B]}\n")
    spec = load_models(folder)["tiny"]
    assert (spec.title, spec.known_models) == ("a/Tiny-1B, miniature", ("Tiny-7B",))
    families.write_text("tiny: {hub_id: nowhere}\n")
    with pytest.raises(MatrixError, match=r"families.yaml:1:\d+: tiny.hub_id: 'nowhere' is not a hub id"):
        load_models(folder)


def test_a_projects_own_models_come_before_those_of_the_package(tmp_path: Path) -> None:
    own = tmp_path / "models"
    copytree(SHIPPED / "models" / "canary", own / "mine")
    text = (SHIPPED / "models" / "canary.yaml").read_text()
    (own / "canary.yaml").write_text(text.replace("folder: canary", "folder: mine"))
    (own / "server.yaml").write_text("port: 80\n---\nof: another program\n")
    models = models_in(own, SHIPPED / "models")
    assert models["canary"].checkpoint_folder == own / "mine"
    assert models["canary-awq"].checkpoint_folder == SHIPPED / "models" / "canary-awq"
    assert models["qwen3"].architecture == "Qwen3ForCausalLM"
    assert "server" not in models
    assert set(models) == set(load_models(SHIPPED / "models"))


def test_a_project_needs_no_models_of_its_own(tmp_path: Path) -> None:
    assert set(models_in(tmp_path / "models", SHIPPED / "models")) == set(load_models(SHIPPED / "models"))

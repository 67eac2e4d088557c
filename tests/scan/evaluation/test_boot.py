"""What a model's own configuration lets the scan say for sure of its way through an engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.scan.answers.findings import Severity
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import ScanTarget, find_target
from harness.scan.sources.release import Library
from tests.scan.miniatures import ENGINE, TABLE, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    Foreseen: TypeAlias = Callable[..., list[tuple[str, str]]]

LLAMA4 = {"transformers/models/llama4/__init__.py": "class Llama4Config: pass\n"}
CONFIG = {
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "model_type": "qwen2_vl",
    "num_attention_heads": 1,
    "rms_norm_eps": 1,
}
BUILDER = "lmdeploy/pytorch/configurations/default.py"
CONFIGURATION = "transformers/models/qwen2_vl/configuration_qwen2_vl.py"
MODEL = "lmdeploy/pytorch/models/qwen2_vl.py"
IMPORTS = "from lmdeploy.pytorch.configurations.builder import AutoModelConfigBuilder\n"


def reading(what: str, before: str = "") -> dict[str, str]:
    """An engine whose configuration of a model reads something of the model's own."""
    body = (
        "class DefaultModelConfigBuilder(AutoModelConfigBuilder):\n    @classmethod\n    def build(cls, hf_config):\n"
    )
    return {BUILDER: f"{IMPORTS}{before}\n{body}        return {what}\n"}


@pytest.fixture
def foreseen(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """What surely ends a boot of a miniature with that configuration: name and exception."""

    def run(
        engine: Mapping[str, str], provider: Mapping[str, str] | None = None, **config: object
    ) -> list[tuple[str, str]]:
        index, models = tmp_path / "index", tmp_path / "models"
        (models / "miniatures").mkdir(parents=True)
        (models / "miniatures" / "one.json").write_text(json.dumps(CONFIG | config))
        publish(index, "lmdeploy", wheel("lmdeploy", "1.0", ENGINE | dict(engine), ["transformers", "torch<=2.8.0"]))
        publish(index, "transformers", wheel("transformers", "4.3", TABLE | LLAMA4 | dict(provider or {})))
        publish(index, "torch", wheel("torch", "2.8.0", {}))
        publish(index, "kernels", wheel("kernels", "1.0", {}))
        library = Library(tmp_path / "cache", index_url=index.as_uri())
        found = Scanner(library, find_target("one", models)).scan("1.0", "4.3")
        library.close()
        return [(each.name, each.error) for each in found.findings if each.severity is Severity.ERROR]

    return run


def test_a_miniature_is_scanned_by_its_published_configuration(foreseen: Foreseen) -> None:
    assert foreseen(reading("hf_config.hidden_size")) == []


def test_the_class_of_a_part_is_that_of_the_type_it_says(foreseen: Foreseen) -> None:
    parts = """
        from ...configuration_utils import PretrainedConfig
        from ..auto import AutoConfig
        class Qwen2VLConfig(PretrainedConfig):
            sub_configs = {"text_config": AutoConfig}
            def __init__(self, text_config=None, **kwargs):
                self.text_config = text_config
                super().__init__(**kwargs)
    """
    auto = "from .configuration_auto import AutoConfig\n"
    llama = "from ...configuration_utils import PretrainedConfig\nclass LlamaConfig(PretrainedConfig):\n    depth = 1\n"
    first = '"models.qwen2_vl.configuration'
    init = TABLE["transformers/__init__.py"]
    init = init.replace(first, f'"models.llama.configuration_llama": ["LlamaConfig"], {first}', 1)
    files = {
        CONFIGURATION: parts,
        "transformers/models/auto/__init__.py": auto,
        "transformers/models/llama/__init__.py": "",
        "transformers/models/llama/configuration_llama.py": llama,
        "transformers/__init__.py": init,
    }
    text = {"text_config": {"model_type": "llama", "eos_token_id": 1}}
    reads = reading("(hf_config.text_config.depth, hf_config.text_config.eos_token_id, hf_config.text_config.width)")
    assert foreseen(reads, files, **text) == [("LlamaConfig.width", "AttributeError")]


def test_a_key_that_the_constructor_takes_out_is_no_attribute(foreseen: Foreseen) -> None:
    taking = """
        from ...configuration_utils import PretrainedConfig
        class Qwen2VLConfig(PretrainedConfig):
            def __post_init__(self, **kwargs):
                self.kinds = [1] * kwargs.pop("interval", 4)
                super().__post_init__(**kwargs)
    """
    reads = reading("hf_config.kinds, hf_config.interval, hf_config.other")
    found = foreseen(reads, {CONFIGURATION: taking}, interval=4, other=1)
    assert found == [("Qwen2VLConfig.interval", "AttributeError")]


LOADER = """
    from transformers import AutoConfig
    def config_from_pretrained(path):
        try:
            return AutoConfig.from_pretrained(path)
        except {caught}:
            pass
        from transformers import PretrainedConfig
        {otherwise}
"""
ANYWAY = "return PretrainedConfig.from_pretrained(path)"
AGAIN = "return AutoConfig.from_pretrained(path)"
OWN_ARCH = """
    from transformers import AutoConfig, PretrainedConfig
    def get_model_arch(path):
        try:
            return AutoConfig.from_pretrained(path)
        except Exception:
            return PretrainedConfig.from_pretrained(path)
"""


def loading(caught: str, otherwise: str) -> dict[str, str]:
    text = LOADER.format(caught=caught, otherwise=otherwise)
    return {"lmdeploy/archs.py": OWN_ARCH, "lmdeploy/pytorch/transformers/__init__.py": text}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (loading("Exception", ANYWAY), []),
        (loading("Exception", AGAIN), [("model type novel", "ValueError")]),
        (loading("KeyError", ANYWAY), [("model type novel", "ValueError")]),
    ],
    ids=["a configuration of no type is taken", "tried again", "another error is caught"],
)
def test_an_unknown_type_fails_where_the_engine_does_not_take_it_as_it_is(
    foreseen: Foreseen, files: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert foreseen(files | reading("hf_config.rms_norm_eps"), model_type="novel") == expected


def test_an_engine_may_bring_the_class_of_the_configuration(foreseen: Foreseen) -> None:
    own = "from transformers import PretrainedConfig\nclass Novel(PretrainedConfig):\n    model_type = 'novel'\n"
    files = loading("ValueError", AGAIN) | {"lmdeploy/pytorch/transformers/configuration_novel.py": own}
    assert foreseen(files | reading("hf_config.anything"), model_type="novel") == []


def test_a_part_of_a_configuration_of_no_type_is_a_dictionary(foreseen: Foreseen) -> None:
    files = loading("Exception", ANYWAY) | reading("hf_config.text_config.get('depth'), hf_config.text_config.depth")
    found = foreseen(files, model_type="novel", text_config={"depth": 1})
    assert found == [("PretrainedConfig.text_config.depth", "AttributeError")]


CHECK = """
def available():
    found = False
    try:
        if unknown():
            import kernels
            found = True
    except ImportError:
        pass
    return found
"""


@pytest.mark.parametrize(("declared", "expected"), [(False, [("AssertionError", "AssertionError")]), (True, [])])
def test_what_is_asserted_of_a_package_fails_where_nothing_installs_it(
    foreseen: Foreseen, declared: bool, expected: list[tuple[str, str]]
) -> None:
    check = CHECK.replace("kernels", "torch") if declared else CHECK
    build = (
        f"{check}\ndef asserted(hf_config):\n    hf_config.fast = available()\n    assert hf_config.fast, 'needs it'\n"
    )
    assert foreseen(reading("asserted(hf_config)", build)) == expected


def test_a_layer_that_imports_what_nothing_installs_ends_the_boot(foreseen: Foreseen) -> None:
    model = """
        class Attention:
            def __init__(self, config):
                import kernels
        class Qwen2VLForConditionalGeneration:
            def __init__(self, config):
                self.layers = [Attention(config) for index in range(config.num_hidden_layers)]
    """
    assert foreseen({MODEL: model}, num_hidden_layers=2) == [("kernels", "ModuleNotFoundError")]


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        ({"rope_scaling": {"factor": 8.0}}, []),
        ({"rope_scaling": None}, [("Qwen2VLConfig.rope_parameters['full_attention']['factor']", "KeyError")]),
        ({"rope_parameters": {"full_attention": {"factor": 8.0}}}, []),
    ],
)
def test_rope_parameters_have_the_keys_that_the_file_says(
    foreseen: Foreseen, rope: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    taking = """
        from ...configuration_utils import PretrainedConfig
        class Qwen2VLConfig(PretrainedConfig):
            rope_parameters: dict | None = None
            def __post_init__(self, **kwargs):
                super().__post_init__(**kwargs)
            def convert_rope_params_to_dict(self, **kwargs):
                self.rope_parameters = {"rope_theta": kwargs.pop("local_base", None)}
                return kwargs
    """
    reads = reading(
        "None if hasattr(hf_config, 'local_base') else f(hf_config.rope_parameters['full_attention']['factor'])"
    )
    assert foreseen(reads, {CONFIGURATION: taking}, local_base=1, **rope) == expected


def test_the_class_that_prepares_images_is_the_one_that_takes_the_configuration(foreseen: Foreseen) -> None:
    other = """
        from lmdeploy.vl.model.qwen2 import Qwen2VLModel
        class Another(Qwen2VLModel):
            @classmethod
            def match(cls, config):
                arch = config.architectures[0] if config.architectures else None
                if arch in ["Other"]:
                    return True
                return False
            def build_preprocessor(self):
                return self.hf_config.tower
    """
    assert foreseen({"lmdeploy/vl/model/another.py": other}, vision_config={}) == []


def test_a_target_can_be_a_key() -> None:
    target = ScanTarget("one", "One", "one", checkpoint={"key": {"inner": 1}})
    assert len({target, target}) == 1

"""A pair of releases for a model: what is reached, what is missing there, and what that means."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.scan.answers.findings import Prediction, Severity
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.target import QWEN2_VL, ScanTarget, UnknownModel, find_target
from harness.scan.sources.release import Library
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.scan.answers.findings import Finding, PairScan

Scan = "Callable[..., PairScan]"
LLAMA4 = {"transformers/models/llama4/__init__.py": "class Llama4Config: pass\n"}
COMPLETE = wheel("transformers", "4.3", TABLE | LLAMA4)
NO_KWARGS = "class ProcessorMixin:\n    pass\n"


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., PairScan]:
    """Scan one engine with one transformers, for a target."""

    def run(own: tuple[str, bytes], other: tuple[str, bytes], target: ScanTarget = QWEN2_VL) -> PairScan:
        index = tmp_path / "index"
        publish(index, "lmdeploy", own)
        publish(index, "transformers", other)
        publish(index, "torch", wheel("torch", "2.8.0", {}), wheel("torch", "2.9.0", {}))
        library = Library(tmp_path / "cache", index_url=index.as_uri())
        versions = [name.split("-")[1] for name, _ in (own, other)]
        found = Scanner(library, target).scan(versions[0], versions[1])
        library.close()
        return found

    return run


def errors(found: PairScan) -> list[Finding]:
    return [finding for finding in found.findings if finding.severity is Severity.ERROR]


def test_a_complete_pair_passes(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("0.15"), COMPLETE)
    assert found.verdict is Prediction.PASS
    assert found.findings == ()
    assert found.declared["torch_newest"] == "2.8.0"
    assert found.declared["inside_warned_range"] is True
    assert found.declared["undeclared"] == ["qwen-vl-utils"]


def test_a_name_missing_in_another_models_module_fails_the_boot(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("1.0"), provider("4.3", processing_utils=NO_KWARGS))
    assert found.verdict is Prediction.FAIL
    finding = errors(found)[0]
    assert finding.kind is Topic.NAME
    assert finding.name == "transformers.processing_utils.ImagesKwargs"
    assert (finding.consumer_file, finding.line) == ("lmdeploy/vl/model/gemma3.py", 1)
    assert finding.provider == "transformers 4.3"
    assert finding.chain[-2:] == ("lmdeploy.vl.model.builder", "lmdeploy.vl.model.gemma3")


def test_a_name_missing_off_the_path_is_a_warning(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("1.0"), provider("4.3"))
    assert found.verdict is Prediction.WARN
    finding = found.findings[0]
    assert not finding.on_path
    assert finding.consumer_file == "lmdeploy/pytorch/models/llama.py"
    assert finding.kind is Topic.MODULE


def test_what_a_function_off_the_path_needs_is_a_note(scan: Callable[..., PairScan]) -> None:
    own = engine("1.0", llama="def f():\n    from transformers.models.llama4 import Llama4Config\n")
    found = scan(own, provider("4.3"))
    assert found.verdict is Prediction.PASS
    assert [finding.severity for finding in found.findings] == [Severity.NOTE]


def test_a_guarded_import_is_no_failure(scan: Callable[..., PairScan]) -> None:
    guarded = "try:\n    from transformers.processing_utils import Nothing\nexcept ImportError:\n    Nothing = None\n"
    found = scan(engine("1.0", gemma3=f"{guarded}ImagesKwargs = Nothing\n"), COMPLETE)
    assert found.verdict is Prediction.PASS
    assert [(finding.guarded, finding.severity) for finding in found.findings] == [("try", Severity.NOTE)]


def test_a_clause_that_raises_again_guards_nothing(scan: Callable[..., PairScan]) -> None:
    other = provider("4.3", processing_utils="class ImagesKwargs:\n    pass\n", modeling_qwen2_vl="")
    found = scan(engine("1.0"), other)
    finding = next(f for f in errors(found) if "Qwen2VLForConditionalGeneration" in f.name)
    assert (finding.consumer_file, finding.function) == ("lmdeploy/vl/model/qwen2.py", "check_deps")


def test_a_version_check_decides_which_import_is_made(scan: Callable[..., PairScan]) -> None:
    text = """
        import transformers
        from packaging import version
        if version.parse(transformers.__version__) >= version.parse('{bound}'):
            from transformers.processing_utils import ImagesKwargs
        else:
            from transformers.processing_utils import OldKwargs as ImagesKwargs
    """
    assert scan(engine("1.0", gemma3=text.format(bound="4.2")), COMPLETE).verdict is Prediction.PASS
    found = scan(engine("1.1", gemma3=text.format(bound="4.9")), COMPLETE)
    assert errors(found)[0].name == "transformers.processing_utils.OldKwargs"


def test_modules_behind_a_failed_package_are_not_reached(scan: Callable[..., PairScan]) -> None:
    own = engine("1.0", **{"engine/__init__": "from transformers import Nowhere\n"})
    names = [finding.name for finding in errors(scan(own, COMPLETE))]
    assert names == ["transformers.Nowhere"]


def test_an_unknown_model_type_fails(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("1.0"), provider("4.3", configuration_auto="CONFIG_MAPPING_NAMES = {}\nAutoConfig = 1\n"))
    kinds = {finding.kind for finding in errors(found)}
    assert Topic.MODEL_TYPE in kinds


def test_an_attribute_that_moved_fails_where_the_engine_reads_it(scan: Callable[..., PairScan]) -> None:
    moved = """
        from ...configuration_utils import PretrainedConfig
        class Qwen2VLConfig(PretrainedConfig):
            def __init__(self, text_config=None, hidden_size=None):
                self.text_config = text_config
                self.num_attention_heads = self.rms_norm_eps = 1
    """
    found = scan(engine("1.0"), provider("4.3", configuration_qwen2_vl=moved))
    reads = [(f.name, f.consumer_file, f.line) for f in errors(found) if f.kind is Topic.ATTRIBUTE]
    assert reads == []  # a parameter of the constructor counts as kept
    found = scan(engine("1.1"), provider("4.4", configuration_qwen2_vl=moved.replace(", hidden_size=None", "")))
    reads = [(f.name, f.consumer_file, f.line) for f in errors(found) if f.kind is Topic.ATTRIBUTE]
    assert reads == [("Qwen2VLConfig.hidden_size", "lmdeploy/pytorch/configurations/default.py", 12)]


def test_a_key_of_the_checkpoints_nested_table_is_an_attribute_of_that_part(
    scan: Callable[..., PairScan], tmp_path: Path
) -> None:
    nested = """
        from ...configuration_utils import PretrainedConfig
        class Qwen2VLTextConfig(PretrainedConfig):
            def __init__(self, hidden_size=1, **kwargs):
                super().__init__(**kwargs)
        class Qwen2VLConfig(PretrainedConfig):
            sub_configs = {"text_config": Qwen2VLTextConfig}
            def __init__(self, text_config=None, **kwargs):
                self.text_config = Qwen2VLTextConfig(**text_config or kwargs)
                super().__init__(**kwargs)
    """
    reads = """
        from .builder import AutoModelConfigBuilder
        class DefaultModelConfigBuilder(AutoModelConfigBuilder):
            @classmethod
            def build(cls, hf_config, model_path=None, **kwargs):
                return hf_config.text_config.bos_token_id
    """
    spec = (Path("models") / "qwen2-vl-2b-random.yaml").read_text().replace("qwen2-vl-2b", "nested")
    (tmp_path / "nested-random.yaml").write_text(spec)
    for version, config, missing in (
        ("1.0", {"text_config": {"bos_token_id": 1}}, []),
        ("1.1", {"bos_token_id": 1}, []),
        ("1.2", {"bos_token_id": 1, "text_config": {"hidden_size": 1}}, ["Qwen2VLTextConfig.bos_token_id"]),
    ):
        (tmp_path / "nested").mkdir(exist_ok=True)
        (tmp_path / "nested" / "config.json").write_text(
            json.dumps(config | {"rms_norm_eps": 1, "architectures": ["X"]})
        )
        target = find_target("nested-random", tmp_path)
        found = scan(engine(version, default=reads), provider(f"4.{version}", configuration_qwen2_vl=nested), target)
        assert [each.name for each in errors(found) if each.kind is Topic.ATTRIBUTE] == missing
    unread = replace(target, checkpoint=None)
    found = scan(engine("1.3", default=reads), provider("4.1.3", configuration_qwen2_vl=nested), unread)
    assert not any(each.kind is Topic.ATTRIBUTE for each in found.findings)


def test_an_attribute_asked_for_politely_is_no_failure(scan: Callable[..., PairScan]) -> None:
    polite = """
        from .builder import AutoModelConfigBuilder
        class DefaultModelConfigBuilder(AutoModelConfigBuilder):
            @classmethod
            def build(cls, hf_config, model_path=None, **kwargs):
                if not hasattr(hf_config, 'text_config'):
                    return getattr(hf_config, 'absent', None)
                return hf_config.text_config.absent
            @classmethod
            def condition(cls, hf_config):
                return True
    """
    assert scan(engine("1.0", default=polite), COMPLETE).verdict is Prediction.PASS


def test_the_builder_whose_condition_holds_is_followed(scan: Callable[..., PairScan]) -> None:
    special = """
        from .builder import AutoModelConfigBuilder
        class A{name}ModelConfigBuilder(AutoModelConfigBuilder):
            @classmethod
            def condition(cls, hf_config):
                return hf_config.model_type in ['{model_type}']
            @classmethod
            def build(cls, hf_config, model_path=None, **kwargs):
                return hf_config.{attribute}
    """
    files = {
        "pytorch/configurations/a": special.format(name="Other", model_type="llama", attribute="absent_one"),
        "pytorch/configurations/b": special.format(name="Own", model_type="qwen2_vl", attribute="absent_two"),
    }
    names = [finding.name for finding in errors(scan(engine("1.0", **files), COMPLETE))]
    assert names == ["Qwen2VLConfig.absent_two"]


def test_a_processor_without_the_attribute_fails(scan: Callable[..., PairScan]) -> None:
    bare = "from ...processing_utils import ProcessorMixin\nclass Qwen2VLProcessor(ProcessorMixin):\n    pass\n"
    found = scan(engine("1.0"), provider("4.3", processing_qwen2_vl=bare))
    finding = next(f for f in errors(found) if f.kind is Topic.ATTRIBUTE)
    assert finding.name.startswith("Qwen2VLProcessor.")
    assert finding.function == "Qwen2VLModel.build_preprocessor"


def test_the_engines_own_class_is_constructed_from_the_configuration(scan: Callable[..., PairScan]) -> None:
    model = """
        class Layer:
            def __init__(self, config):
                self.width = config.absent
        class Qwen2VLForConditionalGeneration:
            def __init__(self, config, dtype=None):
                self.layers = [Layer(config)]
                self.layer = Layer(config)
    """
    names = [finding.name for finding in errors(scan(engine("1.0", qwen2_vl=model), COMPLETE))]
    assert names == ["Qwen2VLConfig.absent"]


def test_what_stands_behind_an_unknown_test_is_possible_only(scan: Callable[..., PairScan]) -> None:
    model = """
        class Qwen2VLForConditionalGeneration:
            def __init__(self, config, dtype=None):
                if dtype.is_complex:
                    self.width = config.absent
    """
    found = scan(engine("1.0", qwen2_vl=model), COMPLETE)
    assert found.verdict is Prediction.WARN
    assert [(finding.guarded, finding.severity) for finding in found.findings] == [("if", Severity.WARNING)]


def test_an_architecture_the_backend_does_not_list_fails(scan: Callable[..., PairScan]) -> None:
    target = replace(QWEN2_VL, architecture="OtherForConditionalGeneration")
    finding = errors(scan(engine("1.0"), COMPLETE, target))[0]
    assert finding.kind is Topic.ARCHITECTURE
    assert finding.consumer_file == "lmdeploy/pytorch/models/module_map.py"


def test_a_quantisation_the_engine_never_mentions_fails(scan: Callable[..., PairScan]) -> None:
    target = replace(QWEN2_VL, quantisation="gptq-int4")
    assert errors(scan(engine("1.0"), COMPLETE, target))[0].kind is Topic.QUANTISATION
    knowing = engine("1.1", config="METHODS = ['awq', 'gptq']\nclass ModelConfig:\n    pass\n")
    assert scan(knowing, COMPLETE, target).verdict is Prediction.PASS


def test_a_transformers_that_switches_torch_off_fails(scan: Callable[..., PairScan]) -> None:
    floor = 'warn("Disabling PyTorch because PyTorch >= 2.9 is required but found")\ndef is_torch_available(): ...\n'
    files = TABLE | LLAMA4
    files["transformers/utils/import_utils.py"] += "        " + floor.replace("\n", "\n        ")
    found = scan(engine("1.0"), wheel("transformers", "4.3", files))
    assert [finding.kind for finding in errors(found)] == [Topic.TORCH]


def test_a_pair_the_resolver_refuses_is_refused_whatever_else_is_wrong(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("1.0", requires=("transformers<4.3",)), provider("4.3", processing_utils=NO_KWARGS))
    assert found.verdict is Prediction.REFUSED
    assert errors(found)[0].kind is Topic.RESOLVER
    assert found.declared["resolver"] == "refuses"


def test_ranges_on_a_shared_package_that_do_not_meet_are_refused(scan: Callable[..., PairScan], tmp_path: Path) -> None:
    publish(tmp_path / "index", "numpy", wheel("numpy", "1.26.4", {}), wheel("numpy", "2.4.0", {}))
    other = wheel("transformers", "4.3", TABLE | LLAMA4, ["numpy>=2"])
    assert scan(engine("1.0", requires=("transformers", "numpy<2.0.0")), other).verdict is Prediction.REFUSED
    assert scan(engine("1.1", requires=("transformers", "numpy")), other).verdict is Prediction.PASS


def test_a_python_without_wheels_is_refused(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("1.0"), COMPLETE, replace(QWEN2_VL, python="3.14"))
    assert found.verdict is Prediction.REFUSED
    assert errors(found)[0].kind is Topic.PYTHON


def test_the_engines_own_warning_decides_nothing(scan: Callable[..., PairScan]) -> None:
    found = scan(engine("1.0"), wheel("transformers", "4.9", TABLE | LLAMA4))
    assert found.verdict is Prediction.PASS
    assert [finding.kind for finding in found.findings] == [Topic.DECLARED]


def test_a_keyword_that_is_not_accepted_is_a_warning(scan: Callable[..., PairScan]) -> None:
    caller = """
        from transformers.processing_utils import load
        def use(path):
            return load(path, map_location='cpu')
        ImagesKwargs = 1
    """
    other = provider("4.3", processing_utils="class ProcessorMixin: pass\nclass ImagesKwargs: pass\ndef load(p): ...\n")
    own = engine("1.0", gemma3=caller, llama="")
    found = scan(own, other)
    assert found.verdict is Prediction.WARN
    assert found.findings[0].name == "transformers.processing_utils.load(map_location=)"


def test_the_models_own_modules_are_followed(scan: Callable[..., PairScan], tmp_path: Path) -> None:
    files = {"gen/__init__.py": "", "gen/main.py": "from transformers import BeamSearchScorer\n"}
    publish(tmp_path / "index", "gen", wheel("gen", "0.1", files))
    target = QWEN2_VL.with_imports(("gen.main",))
    assert scan(engine("1.0"), COMPLETE, target).verdict is Prediction.PASS
    without = wheel("transformers", "4.5", TABLE | LLAMA4 | {"transformers/generation/__init__.py": ""})
    finding = errors(scan(engine("1.1"), without, target))[0]
    assert (finding.name, finding.consumer_file) == ("transformers.BeamSearchScorer", "gen/main.py")


def test_plain_transformers_needs_the_models_class_only(scan: Callable[..., PairScan]) -> None:
    target = replace(QWEN2_VL, backend="transformers")
    assert scan(engine("1.0"), provider("4.3", processing_utils=NO_KWARGS), target).verdict is not Prediction.FAIL
    found = scan(engine("1.1"), provider("4.4", modeling_qwen2_vl=""), target)
    assert errors(found)[0].name == "transformers.Qwen2VLForConditionalGeneration"


def test_turbomind_falls_back_where_it_does_not_list_the_architecture(scan: Callable[..., PairScan]) -> None:
    listed = {"turbomind/supported_models": "SUPPORTED_ARCHS = dict(Qwen2VLForConditionalGeneration='qwen2-vl')\n"}
    target = replace(QWEN2_VL, backend="turbomind")
    assert scan(engine("1.0", **listed), COMPLETE, target).verdict is not Prediction.FAIL
    found = scan(engine("1.1", **{"turbomind/supported_models": "SUPPORTED_ARCHS = dict()\n"}), COMPLETE, target)
    assert errors(found)[0].kind is Topic.ARCHITECTURE


def test_the_answer_is_plain_data_and_says_that_it_is_a_prediction(scan: Callable[..., PairScan]) -> None:
    data = scan(engine("1.0"), provider("4.3", processing_utils=NO_KWARGS)).to_json()
    assert data["prediction"] is True
    assert data["verdict"] == "fail"
    assert {"kind", "name", "provider", "consumer_file", "line", "severity", "guarded", "message"} <= set(
        data["findings"][0]
    )


def test_models_are_found_by_name_or_told(tmp_path: Path) -> None:
    assert find_target("qwen2-vl", tmp_path) == QWEN2_VL
    with pytest.raises(UnknownModel, match="did you mean 'qwen2-vl'"):
        find_target("qwen2vl", tmp_path)

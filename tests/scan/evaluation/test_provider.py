"""What ``from transformers.X import Y`` would give, through every generation of its lazy modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.scan.evaluation.model_classes import ModelClasses
from harness.scan.evaluation.provider import AVAILABLE, Found, Provider
from harness.scan.sources.conditions import Surroundings
from harness.scan.sources.release import Library
from tests.scan.miniatures import AUTO, SCAN_INIT, TABLE, UTILS, exporting, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Make = "Callable[[Mapping[str, str]], Provider]"
CHECKPOINT = dict.fromkeys(("hidden_size", "num_attention_heads", "vision_config", "rms_norm_eps"))


@pytest.fixture
def provide(tmp_path: Path) -> Callable[[Mapping[str, str]], Provider]:
    """A provider of a transformers with the given files."""

    def make(files: Mapping[str, str]) -> Provider:
        publish(tmp_path / "index", "transformers", wheel("transformers", "4.0", files))
        library = Library(tmp_path / "cache", index_url=(tmp_path / "index").as_uri())
        return Provider(library.release("transformers", "4.0"), Surroundings(available=AVAILABLE))

    return make


def test_a_written_table_serves_its_names(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    provider = provide(TABLE)
    for name in ("AutoConfig", "BeamSearchScorer", "Qwen2VLForConditionalGeneration", "__version__"):
        assert provider.name("transformers", name), name
    missing = provider.name("transformers", "ImagesKwargs")
    assert not missing
    assert missing.error == "ImportError"
    assert not provider.name("transformers", "OnlyForTypeCheckers")


def test_a_name_that_is_listed_but_nowhere_defined_is_missing(
    provide: Callable[[Mapping[str, str]], Provider],
) -> None:
    provider = provide(TABLE | {"transformers/generation/__init__.py": ""})
    assert not provider.name("transformers", "BeamSearchScorer")


def test_dummies_stand_for_absent_frameworks_only(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    provider = provide(TABLE)
    assert provider.name("transformers", "FlaxModel")
    assert not provider.name("transformers", "TorchDummy")


def test_names_are_followed_through_re_exports_and_stars(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    provider = provide(TABLE)
    assert provider.definition("transformers.generation", "BeamSearchScorer") == (
        "transformers.generation.beam_search",
        "BeamSearchScorer",
    )
    assert provider.name("transformers.utils", "OptionalDependencyNotAvailable")
    assert not provider.name("transformers.utils", "is_safetensors_available")


def test_a_star_takes_what_all_lists_and_nothing_else(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    files = TABLE | {
        "transformers/starred.py": "from .listing import *\nfrom .open import *\n",
        "transformers/listing.py": '__all__ = ["A"]\nA = B = 1\n',
        "transformers/open.py": "C = _D = 1\n",
    }
    provider = provide(files)
    found = {name: bool(provider.name("transformers.starred", name)) for name in ("A", "B", "C", "_D")}
    assert found == {"A": True, "B": False, "C": True, "_D": False}


def test_modules_that_take_names_from_one_another_end(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    files = TABLE | {
        "transformers/one.py": "from .two import name\n",
        "transformers/two.py": "from .one import name\n",
    }
    assert provide(files).name("transformers.one", "name").found is not Found.YES


def test_a_missing_module_is_another_error_than_a_missing_name(
    provide: Callable[[Mapping[str, str]], Provider],
) -> None:
    provider = provide(TABLE)
    assert provider.name("transformers.models.llama4", "Llama4Config").error == "ModuleNotFoundError"
    assert provider.module("transformers.models.llama4.configuration_llama4").error == "ModuleNotFoundError"
    assert provider.module("transformers.models.qwen2_vl")


def test_a_submodule_is_a_name_of_its_package(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    answer = provide(TABLE).name("transformers.models", "qwen2_vl")
    assert (answer.where, answer.name) == ("transformers.models.qwen2_vl", "")


def test_a_scanned_lazy_module_serves_what_its_files_export(
    provide: Callable[[Mapping[str, str]], Provider],
) -> None:
    files = exporting(
        {"transformers/__init__.py": SCAN_INIT, **UTILS, **AUTO},
        configuration_auto="AutoConfig",
        modeling_qwen2_vl="Qwen2VLForConditionalGeneration",
    )
    provider = provide(files)
    assert provider.name("transformers", "AutoConfig")
    assert provider.name("transformers", "PretrainedConfig")
    assert provider.name("transformers", "Qwen2VLForConditionalGeneration")
    assert not provider.name("transformers", "Qwen2VLConfig")  # defined, but not exported
    assert not provider.name("transformers", "BeamSearchScorer")


def test_convert_and_modular_files_export_nothing(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    files = {
        "transformers/__init__.py": SCAN_INIT,
        **UTILS,
        **AUTO,
        "transformers/models/x/modular_x.py": 'class XModel: pass\n__all__ = ["XModel"]\n',
    }
    assert not provide(files).name("transformers", "XModel")


def test_a_lazy_package_scans_its_own_folder(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    init = """
        from ...utils.import_utils import define_import_structure
        import sys
        _file = globals()["__file__"]
        sys.modules[__name__] = _LazyModule(__name__, _file, define_import_structure(_file), module_spec=__spec__)
    """
    files = exporting(
        {**TABLE, "transformers/models/qwen2_vl/__init__.py": init}, configuration_qwen2_vl="Qwen2VLConfig"
    )
    provider = provide(files)
    assert provider.name("transformers.models.qwen2_vl", "Qwen2VLConfig")
    assert not provider.name("transformers.models.qwen2_vl", "Qwen2VLForConditionalGeneration")


def test_old_module_names_stay_alive(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    files = {
        "transformers/__init__.py": SCAN_INIT,
        **UTILS,
        **AUTO,
        "transformers/tokenization_utils_tokenizers.py": "class PreTrainedTokenizerFast: pass\n",
        "transformers/models/clip/image_processing_clip.py": "class CLIPImageProcessor: pass\n",
    }
    provider = provide(files)
    assert provider.name("transformers.tokenization_utils_fast", "PreTrainedTokenizerFast")
    assert not provider.name("transformers.tokenization_utils_fast", "Nothing")
    fast = "transformers.models.clip.image_processing_clip_fast"
    assert provider.name(fast, "CLIPImageProcessorFast")
    assert not provider.module("transformers.models.clip.image_processing_other_fast")


def test_a_getattr_serves_the_names_it_mentions(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    files = TABLE | {
        "transformers/moved.py": 'def __getattr__(name):\n    if name == "Old":\n        return 1\n',
        "transformers/anything.py": "def __getattr__(name):\n    return load(name)\n",
    }
    provider = provide(files)
    assert provider.name("transformers.moved", "Old")
    assert not provider.name("transformers.moved", "Older")
    assert provider.name("transformers.anything", "Whatever").found is Found.PERHAPS


def test_names_behind_a_test_that_cannot_be_decided_count_as_there(
    provide: Callable[[Mapping[str, str]], Provider],
) -> None:
    files = TABLE | {
        "transformers/maybe.py": """
            if is_librosa_available():
                A = 1
            else:
                B = 1
            if is_flax_available():
                C = 1
            try:
                from nowhere import D
            except ImportError:
                D = E = None
        """
    }
    provider = provide(files)
    found = {name: bool(provider.name("transformers.maybe", name)) for name in "ABCDE"}
    assert found == {"A": True, "B": True, "C": False, "D": True, "E": True}


PARTS = """
    from ...configuration_utils import PretrainedConfig
    class TextConfig(PretrainedConfig):
        def __init__(self, hidden_size=1, num_attention_heads=1, **kwargs):
            self.hidden_size = hidden_size
            self.num_attention_heads = num_attention_heads
            super().__init__(**kwargs)
    class Qwen2VLConfig(PretrainedConfig):
        sub_configs = {"text_config": TextConfig}
        def __init__(self, text_config=None, **kwargs):
"""
MOVING = """
            params = list(inspect.signature(self.sub_configs["text_config"].__init__).parameters)
            given = {key: kwargs.pop(key) for key in params if key in kwargs}
            self.text_config = self.sub_configs["text_config"](**given)
            super().__init__(**kwargs)
"""
KEEPING = """
            self.text_config = self.sub_configs["text_config"](**kwargs)
            super().__init__(**kwargs)
"""
SPECIFIED = PARTS.replace(": TextConfig}", ": Spec(config_class=TextConfig)}")
LOOKING = """
        def __getattribute__(self, key):
            return super().__getattribute__(key)
"""


@pytest.mark.parametrize(
    ("source", "flat"),
    [(PARTS + KEEPING, True), (PARTS + MOVING, False), (PARTS + MOVING + LOOKING, True), (SPECIFIED + MOVING, False)],
    ids=["kept", "moved", "looked-up", "moved to a part given by its specification"],
)
def test_a_key_of_the_checkpoint_is_an_attribute_unless_it_is_handed_to_a_part(
    provide: Callable[[Mapping[str, str]], Provider], source: str, flat: bool
) -> None:
    path = "transformers/models/qwen2_vl/configuration_qwen2_vl.py"
    model_classes = ModelClasses(provide(TABLE | {path: source}))
    config = model_classes.config("qwen2_vl")
    assert config is not None
    assert model_classes.has(config, "hidden_size", CHECKPOINT) is flat
    assert model_classes.has(config, "text_config", CHECKPOINT)
    assert model_classes.has(config, "rms_norm_eps", CHECKPOINT)  # no part takes it
    assert model_classes.has(config, "return_dict", CHECKPOINT)  # from the base class
    assert model_classes.has(config, "dtype", CHECKPOINT) is False
    part = model_classes.part(config, "text_config")
    assert part is not None
    assert model_classes.has(part, "hidden_size", CHECKPOINT)


def test_a_class_with_an_unknown_base_may_have_anything(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    path = "transformers/models/qwen2_vl/configuration_qwen2_vl.py"
    model_classes = ModelClasses(
        provide(TABLE | {path: "from elsewhere import Base\nclass Qwen2VLConfig(Base):\n    pass\n"})
    )
    config = model_classes.config("qwen2_vl")
    assert config is not None
    assert model_classes.has(config, "hidden_size", {}) is None


def test_a_processor_has_what_it_is_made_of(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    model_classes = ModelClasses(provide(TABLE))
    processor = model_classes.processor("qwen2_vl")
    assert processor is not None
    for name in ("image_token", "tokenizer", "image_processor"):
        assert model_classes.has(processor, name, {}), name
    assert model_classes.has(processor, "video_token", {}) is False
    assert model_classes.knows("qwen2_vl")
    assert not model_classes.knows("qwen3_vl")


def test_keywords_are_looked_up_in_signatures(provide: Callable[[Mapping[str, str]], Provider]) -> None:
    files = TABLE | {
        "transformers/modeling_utils.py": """
            def load_state_dict(file, weights_only=True): ...
            def loose(**kwargs): ...
            @decorated
            def unknown(a): ...
            class Output(Base): ...
            class Base:
                def __init__(self, first): ...
                @classmethod
                def make(cls, *, second): ...
        """
    }
    model_classes = ModelClasses(provide(files))
    module = "transformers.modeling_utils"
    assert model_classes.accepts(module, "load_state_dict", "", "weights_only")
    assert model_classes.accepts(module, "load_state_dict", "", "map_location") is False
    assert model_classes.accepts(module, "loose", "", "anything")
    assert model_classes.accepts(module, "unknown", "", "b")
    assert model_classes.accepts(module, "Output", "", "first")
    assert model_classes.accepts(module, "Output", "", "other") is False
    assert model_classes.accepts(module, "Output", "make", "second")
    assert model_classes.accepts(module, "Absent", "", "x") is None

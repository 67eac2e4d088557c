"""A package index in a folder, with miniatures of the packages that the scan reads: real wheels, little in them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LINUX = "cp311-cp311-manylinux2014_x86_64"

ENGINE: dict[str, str] = {
    "lmdeploy/__init__.py": "",
    "lmdeploy/archs.py": """
        from transformers import AutoConfig


        def get_model_arch(model_path):
            return AutoConfig.from_pretrained(model_path)
    """,
    "lmdeploy/vl/__init__.py": "",
    "lmdeploy/vl/model/__init__.py": "",
    "lmdeploy/vl/model/base.py": """
        class VisionModel:
            _arch = None

            def __init__(self, model_path, hf_config=None):
                self.hf_config = hf_config
    """,
    "lmdeploy/vl/model/gemma3.py": """
        from transformers.processing_utils import ImagesKwargs
    """,
    "lmdeploy/vl/model/qwen2.py": """
        from lmdeploy.vl.model.base import VisionModel


        def check_deps():
            try:
                from transformers import Qwen2VLForConditionalGeneration
            except ImportError:
                raise ImportError('please install latest transformers')


        class Qwen2VLModel(VisionModel):
            _arch = ['Qwen2VLForConditionalGeneration']

            def build_preprocessor(self):
                check_deps()
                from transformers import AutoProcessor
                self.processor = AutoProcessor.from_pretrained('x')
                self.image_token = self.processor.image_token

            def preprocess(self, messages):
                return self.processor.tokenizer
    """,
    "lmdeploy/vl/model/builder.py": """
        from .gemma3 import ImagesKwargs
        from .qwen2 import Qwen2VLModel
    """,
    "lmdeploy/pytorch/__init__.py": "",
    "lmdeploy/pytorch/engine/__init__.py": """
        from lmdeploy.pytorch.config import ModelConfig
    """,
    "lmdeploy/pytorch/config.py": """
        class ModelConfig:
            pass
    """,
    "lmdeploy/pytorch/check_env/__init__.py": "",
    "lmdeploy/pytorch/check_env/transformers.py": """
        MIN_TRANSFORMERS_VERSION = '4.0'
        MAX_TRANSFORMERS_VERSION = '4.4'
    """,
    "lmdeploy/pytorch/configurations/__init__.py": """
        import importlib
        import pkgutil

        for loader, module_name, is_pkg in pkgutil.walk_packages(__path__):
            importlib.import_module('{}.{}'.format(__name__, module_name))
    """,
    "lmdeploy/pytorch/configurations/builder.py": """
        class AutoModelConfigBuilder:
            @classmethod
            def condition(cls, hf_config):
                raise NotImplementedError
    """,
    "lmdeploy/pytorch/configurations/default.py": """
        from .builder import AutoModelConfigBuilder


        class DefaultModelConfigBuilder(AutoModelConfigBuilder):
            @classmethod
            def condition(cls, hf_config):
                return True

            @classmethod
            def build(cls, hf_config, model_path=None, **kwargs):
                head_dim = getattr(hf_config, 'head_dim', None)
                return hf_config.hidden_size // hf_config.num_attention_heads
    """,
    "lmdeploy/pytorch/models/__init__.py": "",
    "lmdeploy/pytorch/models/module_map.py": """
        PATH = 'lmdeploy.pytorch.models'
        MODULE_MAP = dict()
        MODULE_MAP.update({
            'Qwen2VLForConditionalGeneration': f'{PATH}.qwen2_vl.Qwen2VLForConditionalGeneration',
            'LlamaForCausalLM': f'{PATH}.llama.LlamaForCausalLM',
        })
    """,
    "lmdeploy/pytorch/models/qwen2_vl.py": """
        class Qwen2VLForConditionalGeneration:
            def __init__(self, config, dtype=None):
                self.config = config
                self.eps = config.rms_norm_eps
    """,
    "lmdeploy/pytorch/models/llama.py": """
        from transformers.models.llama4 import Llama4Config
    """,
}
"""An engine release in which a boot of Qwen2-VL loads Gemma's module too."""

AUTO: dict[str, str] = {
    "transformers/models/__init__.py": "",
    "transformers/models/auto/__init__.py": "",
    "transformers/models/auto/configuration_auto.py": """
        from collections import OrderedDict
        CONFIG_MAPPING_NAMES = OrderedDict([("llama", "LlamaConfig"), ("qwen2_vl", "Qwen2VLConfig")])
        class AutoConfig:
            pass
    """,
    "transformers/models/auto/processing_auto.py": """
        PROCESSOR_MAPPING_NAMES = {"qwen2_vl": "Qwen2VLProcessor"}
        class AutoProcessor:
            pass
    """,
    "transformers/configuration_utils.py": """
        class PretrainedConfig:
            def __init__(self, **kwargs):
                self.return_dict = kwargs.pop("return_dict", True)
    """,
    "transformers/processing_utils.py": """
        class ProcessorMixin:
            pass
        class ImagesKwargs:
            pass
    """,
    "transformers/models/qwen2_vl/__init__.py": "",
    "transformers/models/qwen2_vl/configuration_qwen2_vl.py": """
        from ...configuration_utils import PretrainedConfig
        class Qwen2VLConfig(PretrainedConfig):
            model_type = "qwen2_vl"
            def __init__(self, hidden_size=1, vision_config=None, **kwargs):
                self.hidden_size = hidden_size
                super().__init__(**kwargs)
    """,
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py": """
        class Qwen2VLForConditionalGeneration:
            pass
    """,
    "transformers/models/qwen2_vl/processing_qwen2_vl.py": """
        from ...processing_utils import ProcessorMixin
        class Qwen2VLProcessor(ProcessorMixin):
            attributes = ["image_processor", "tokenizer"]
            def __init__(self, image_processor=None, tokenizer=None):
                self.image_token = "<|image_pad|>"
    """,
}
"""What a transformers that knows Qwen2-VL has, in any generation."""

TABLE_INIT = """
    __version__ = "4"
    from typing import TYPE_CHECKING
    from .utils import OptionalDependencyNotAvailable, _LazyModule, is_flax_available, is_torch_available
    _import_structure = {
        "configuration_utils": ["PretrainedConfig"],
        "models.auto.configuration_auto": ["AutoConfig"],
        "models.auto.processing_auto": ["AutoProcessor"],
        "models.qwen2_vl.configuration_qwen2_vl": ["Qwen2VLConfig"],
        "models.qwen2_vl.processing_qwen2_vl": ["Qwen2VLProcessor"],
    }
    try:
        if not is_torch_available():
            raise OptionalDependencyNotAvailable()
    except OptionalDependencyNotAvailable:
        from .utils import dummy_pt_objects
        _import_structure["utils.dummy_pt_objects"] = [n for n in dir(dummy_pt_objects) if not n.startswith("_")]
    else:
        _import_structure["models.qwen2_vl.modeling_qwen2_vl"] = ["Qwen2VLForConditionalGeneration"]
        _import_structure["generation"] = ["BeamSearchScorer"]
    try:
        if not is_flax_available():
            raise OptionalDependencyNotAvailable()
    except OptionalDependencyNotAvailable:
        from .utils import dummy_flax_objects
        _import_structure["utils.dummy_flax_objects"] = [
            name for name in dir(dummy_flax_objects) if not name.startswith("_")
        ]
    else:
        _import_structure["models.flax"] = ["FlaxModel"]
    if TYPE_CHECKING:
        from .nowhere import OnlyForTypeCheckers
    else:
        import sys
        sys.modules[__name__] = _LazyModule(
            __name__, globals()["__file__"], _import_structure, extra_objects={"__version__": __version__}
        )
"""
"""The first generation: a table written out, with dummies for absent frameworks."""
UTILS = {
    "transformers/utils/__init__.py": """
        from .import_utils import *
        from .import_utils import _LazyModule, is_flax_available, is_torch_available
    """,
    "transformers/utils/import_utils.py": """
        class OptionalDependencyNotAvailable(BaseException):
            pass
        class _LazyModule:
            pass
        def is_torch_available():
            return True
        def is_flax_available():
            return False
    """,
    "transformers/utils/dummy_pt_objects.py": "class TorchDummy: pass",
    "transformers/utils/dummy_flax_objects.py": "class FlaxModel: pass",
}
TABLE: dict[str, str] = {
    "transformers/__init__.py": TABLE_INIT,
    "transformers/generation/__init__.py": """
        from .beam_search import BeamSearchScorer
    """,
    "transformers/generation/beam_search.py": "class BeamSearchScorer: pass",
    **UTILS,
    **AUTO,
}
"""A whole transformers of the first generation."""

SCAN_INIT = """
    from pathlib import Path
    from typing import TYPE_CHECKING
    from .utils import _LazyModule
    from .utils.import_utils import define_import_structure
    _import_structure = {"configuration_utils": ["PretrainedConfig"]}
    if TYPE_CHECKING:
        from .models import *
    else:
        import sys
        _import_structure = {k: set(v) for k, v in _import_structure.items()}
        import_structure = define_import_structure(Path(__file__).parent / "models", prefix="models")
        import_structure[frozenset({})].update(_import_structure)
        sys.modules[__name__] = _LazyModule(__name__, globals()["__file__"], import_structure)
        def _create_module_alias(alias, target):
            pass
        _create_module_alias(f"{__name__}.tokenization_utils_fast", ".tokenization_utils_tokenizers")
        for _file in sorted((Path(__file__).parent / "models").rglob("image_processing_*.py")):
            _create_module_alias(f"{__name__}.models.{_file}_fast", "x")
"""
"""The third generation: names scanned from ``__all__``, and old module names kept alive."""


def exporting(files: Mapping[str, str], **exports: str) -> dict[str, str]:
    """The same files, those named by their last part given an ``__all__``."""
    changed = dict(files)
    for stem, names in exports.items():
        path = next(path for path in files if path.endswith(f"/{stem}.py"))
        listed = ", ".join(f'"{name}"' for name in names.split())
        changed[path] = dedent(files[path]) + f"\n__all__ = [{listed}]\n"
    return changed


def wheel(
    package: str, version: str, files: Mapping[str, str], requires: Sequence[str] = (), tag: str = "py3-none-any"
) -> tuple[str, bytes]:
    """File name and content of a wheel."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, dedent(text).lstrip("\n"))
        archive.writestr(f"{info}/METADATA", metadata)
    return f"{name}-{version}-{tag}.whl", stream.getvalue()


def sdist(package: str, version: str, files: Mapping[str, str]) -> tuple[str, bytes]:
    """File name and content of a source archive."""
    stem = f"{package}-{version}"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, text in {**files, "PKG-INFO": f"Name: {package}\n"}.items():
            data = dedent(text).encode()
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return f"{stem}.tar.gz", stream.getvalue()


def publish(index: Path, package: str, *archives: tuple[str, bytes], yanked: Sequence[str] = ()) -> None:
    """Put archives of one package into an index folder, beside those that are there."""
    folder = index / package
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.json"
    files: list[dict[str, Any]] = json.loads(page.read_text())["files"] if page.exists() else []
    for filename, data in archives:
        (folder / filename).write_bytes(data)
        entry = {"filename": filename, "url": filename, "size": len(data), "yanked": filename in yanked}
        entry |= {"hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "upload-time": "2026-01-01T00:00:00Z"}
        files.append(entry)
    page.write_text(json.dumps({"meta": {"api-version": "1.1"}, "name": package, "files": files}))


def engine(
    version: str, requires: Sequence[str] = ("transformers", "torch<=2.8.0"), **changes: str
) -> tuple[str, bytes]:
    """An engine release; ``changes`` replace files by the last part of their path, dots for slashes left out."""
    files = dict(ENGINE)
    for stem, text in changes.items():
        path = next((path for path in files if path.endswith(f"/{stem}.py")), f"lmdeploy/{stem}.py")
        files[path] = text
    return wheel("lmdeploy", version, files, requires, tag=LINUX)


def provider(version: str, without: Sequence[str] = (), **changes: str) -> tuple[str, bytes]:
    """A transformers release of the first generation, without some files and with others changed."""
    files = {path: text for path, text in TABLE.items() if not any(path.endswith(f"/{stem}.py") for stem in without)}
    for stem, text in changes.items():
        files[next(path for path in files if path.endswith(f"/{stem}.py"))] = text
    return wheel("transformers", version, files)

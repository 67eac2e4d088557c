"""The model and the backend that a scan is for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.core.errors import HarnessError
from harness.engines import ENGINES, Backend
from harness.matrix.model_configuration import read_configuration
from harness.matrix.model_files import models_in
from harness.matrix.project import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from packaging.version import Version

    from harness.engines import Engine
    from harness.matrix.models import ModelSpec
    from harness.scan.evaluation.code import Code
    from harness.scan.evaluation.model_classes import Checkpoint

PYTHON = "3.11"
"""The interpreter every release looked at has wheels for; another one can be asked about."""
DEFAULT_MODEL = "qwen2-vl"
_QWEN2_VL_KEYS = (
    "architectures attention_dropout bos_token_id eos_token_id vision_start_token_id vision_end_token_id "
    "vision_token_id image_token_id video_token_id hidden_act hidden_size initializer_range intermediate_size "
    "max_position_embeddings max_window_layers model_type num_attention_heads num_hidden_layers num_key_value_heads "
    "rms_norm_eps rope_theta sliding_window tie_word_embeddings torch_dtype transformers_version use_cache "
    "use_sliding_window rope_scaling vocab_size vision_config vision_config.depth vision_config.embed_dim "
    "vision_config.mlp_ratio vision_config.num_heads vision_config.in_chans vision_config.hidden_size "
    "vision_config.patch_size vision_config.spatial_merge_size vision_config.spatial_patch_size "
    "vision_config.temporal_patch_size"
)
"""Keys of Qwen/Qwen2-VL-2B-Instruct's config.json on the hub: one flat table, with the vision part nested."""


class UnknownModel(HarnessError):  # noqa: N818 - says what is wrong with the question
    """There is no spec of that name; the message names the nearest."""


@dataclass(frozen=True, slots=True)
class ScanTarget:
    """What is to be served, on what."""

    model: str
    architecture: str
    model_type: str
    backend: str = Backend.PYTORCH
    python: str = PYTHON
    quantisation: str = "none"
    imports: tuple[str, ...] = ()
    """Modules that the model's own code imports."""
    packages: tuple[str, ...] = ()
    """Requirements that its lock has besides the engine's."""
    engine_packages: tuple[tuple[str, str], ...] = ()
    """Requirements added for some versions of the engine: requirement and range of versions."""
    checkpoint: Checkpoint = field(default=None, hash=False)
    """Its configuration file; None when there is none to read."""
    remote_code: bool = False
    """Whether the checkpoint brings its own classes."""
    vision: bool = True
    codes: tuple[Code, ...] = field(default=(), compare=False)
    """Somebody's own code, which must find what it imports."""

    @property
    def engine(self) -> Engine:
        """What is known of the backend."""
        return ENGINES[self.backend]

    def provided(self, lmdeploy: Version) -> frozenset[str]:
        """Packages that the model's lock adds for an engine version, normalised names."""
        extra = (
            text for text, versions in self.engine_packages if Requirement(f"x{versions}").specifier.contains(lmdeploy)
        )
        return frozenset(canonicalize_name(Requirement(text).name) for text in (*self.packages, *extra))

    def with_imports(self, modules: tuple[str, ...], packages: tuple[str, ...] = ()) -> ScanTarget:
        """The same, needing further modules, which further packages may bring."""
        imports, required = (*self.imports, *modules), (*self.packages, *packages)
        return replace(self, imports=tuple(dict.fromkeys(imports)), packages=tuple(dict.fromkeys(required)))


QWEN2_VL = ScanTarget(
    model=DEFAULT_MODEL,
    architecture="Qwen2VLForConditionalGeneration",
    model_type="qwen2_vl",
    engine_packages=(("qwen-vl-utils", "<0.16"),),
    checkpoint=dict.fromkeys(_QWEN2_VL_KEYS.split()),
)
"""The matrix's Qwen2-VL, known without any spec."""


def target_of(spec: ModelSpec) -> ScanTarget:
    """What a model spec says about the model."""
    file = spec.published_config
    keys: Checkpoint = None
    vision = True
    if file is not None:
        found = read_configuration(file)
        keys = dict(_values(found.content))
        vision = found.sees
    elif spec.model_type == QWEN2_VL.model_type:
        keys = QWEN2_VL.checkpoint
    return ScanTarget(
        model=spec.name,
        architecture=spec.architecture,
        model_type=spec.model_type,
        quantisation=str(spec.quantisation),
        imports=spec.imports,
        packages=spec.packages,
        engine_packages=tuple((need.package, need.lmdeploy) for need in spec.engine_packages),
        checkpoint=keys,
        remote_code=spec.trust_remote_code,
        vision=vision,
    )


def _values(table: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        yield within + key, value
        if isinstance(value, dict):
            yield from _values(value, f"{within}{key}.")


def find_target(name: str, models: Path, backend: str = Backend.PYTORCH, python: str = PYTHON) -> ScanTarget:
    """The target for a model by its spec's name, or the start of it; ``qwen2-vl`` is known without a spec.

    Raises:
        UnknownModel: no spec, or several, go by that name.
        MatrixError: a spec in the folder is not as it must be.
    """
    wanted = name.lower()
    specs = models_in(models, SHIPPED / "models") if wanted != DEFAULT_MODEL else {}
    if wanted == DEFAULT_MODEL:
        found = QWEN2_VL
    elif wanted in specs:
        found = target_of(specs[wanted])
    else:
        close = [known for known in specs if known.startswith(wanted)]
        if len(close) != 1:
            raise UnknownModel(_unknown(name, (*specs, DEFAULT_MODEL), close))
        found = target_of(specs[close[0]])
    return replace(found, backend=backend, python=python)


def _unknown(name: str, known: tuple[str, ...], close: list[str]) -> str:
    if close:
        return f"'{name}' could be {' or '.join(close)}; write one of them"
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    meant = f"; did you mean '{near[0]}'?" if near else ""
    return f"there is no model '{name}'{meant} (known: {', '.join(sorted(set(known)))})"

"""What lmdeploy's two engines have in common."""

from __future__ import annotations

from harness.core.verdict import Stage
from harness.engines.check import ENGINE_MODULES, MODEL_REQUIREMENTS, Check, Needs

MODULES = (
    "lmdeploy.archs",
    "lmdeploy.tokenizer",
    "lmdeploy.model",
    "lmdeploy.pipeline",  # the pipeline class, from 0.12
    "lmdeploy.serve.core.async_engine",  # from 0.12
    "lmdeploy.serve.processors",
    "lmdeploy.serve.async_engine",  # up to 0.11
)
"""What ``lmdeploy.pipeline`` loads before it chooses an engine; none of it needs a driver."""

VISION_MODULES = (
    "lmdeploy.serve.core.vl_async_engine",
    "lmdeploy.serve.vl_async_engine",
    "lmdeploy.vl.engine",
    "lmdeploy.vl.model.builder",  # registers every vision model: one that does not import takes all others with it
)

IMPORT_CHECKS = (
    Check("vision-builder", (Stage.IMPORT,), "engines.imports:vision_builder"),
    ENGINE_MODULES,
    Check("entry-points", (Stage.IMPORT,), "engines.entry_points:entry_points"),
    MODEL_REQUIREMENTS,
)
_PRELOAD = ("torch", "transformers", "lmdeploy.archs", "lmdeploy.vl.model.builder")
_OF_CONFIGURATION = Needs.BACKEND | Needs.CONFIG
_TOLD = _OF_CONFIGURATION | Needs.ASKED
CONFIGURE_CHECKS = (
    Check("backend-support", (Stage.CONFIGURE,), "engines.configure:backend_support", _OF_CONFIGURATION, _PRELOAD),
    Check("model-config", (Stage.CONFIGURE,), "engines.configure:model_config", _TOLD, _PRELOAD),
)
IMAGE_AND_PROMPT = Check(
    "image-and-prompt",
    (Stage.PREPROCESS,),
    "engines.preprocess:image_and_prompt",
    Needs.BACKEND | Needs.CHECKPOINT,
    _PRELOAD,
)

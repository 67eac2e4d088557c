"""TurboMind, lmdeploy's engine in C++."""

from __future__ import annotations

from typing import Literal

from harness.core.verdict import Stage
from harness.engines import lmdeploy
from harness.engines.check import TWO_PASS, Check, Needs
from harness.engines.engine import Architectures, Configuration, Engine
from harness.engines.settings import Settings


class TurbomindSettings(Settings):
    """What this engine can be told."""

    model_format: Literal["hf", "awq", "gptq", "compressed-tensors", "fp8", "mxfp4"] | None = None


ENGINE = Engine(
    checks=(
        *lmdeploy.IMPORT_CHECKS,
        *lmdeploy.CONFIGURE_CHECKS,
        Check("weight-view", (Stage.CONFIGURE,), "engines.turbomind_weights:weight_view", Needs.CHECKPOINT),
        lmdeploy.IMAGE_AND_PROMPT,
        TWO_PASS,
    ),
    needs_gpu=True,
    modules=lmdeploy.MODULES,
    vision_modules=lmdeploy.VISION_MODULES,
    own_modules=(
        "lmdeploy.turbomind",
        "lmdeploy.turbomind.turbomind",
        "lmdeploy.turbomind.supported_models",
        "lmdeploy.turbomind.deploy.converter",  # up to 0.13
        "lmdeploy.turbomind.converter",
        "lmdeploy.turbomind.model_loader",
    ),
    configuration=Configuration(
        "turbomind",
        "TurbomindEngineConfig",
        smoke=TurbomindSettings(session_len=2048, max_batch_size=4, max_prefill_token_num=2048),
        formats={"awq-int4": "awq", "gptq-int4": "gptq"},
    ),
    architectures=Architectures(
        "lmdeploy.turbomind.supported_models",
        "SUPPORTED_ARCHS",
        fallback="it falls back to the pytorch engine, or stops",
    ),
    loads_vision=True,
    own_files=("*/_turbomind*.so", "*/libturbomind*.so"),
    log_words=("turbomind",),
    error_line=r"\[TM\]\[(?:ERROR|FATAL)\]",
)

"""lmdeploy's pytorch engine."""

from __future__ import annotations

from typing import Literal

from harness.core.verdict import Stage
from harness.engines import lmdeploy
from harness.engines.check import TWO_PASS, Check, Needs
from harness.engines.engine import Architectures, Configuration, Engine
from harness.engines.settings import Settings


class PytorchSettings(Settings):
    """What this engine can be told."""

    eager_mode: bool | None = None
    """Without CUDA graphs."""
    distributed_executor_backend: Literal["uni", "mp", "ray"] | None = None
    """What starts its processes on several cards; by itself it takes Ray."""


_PRELOAD_OF_GRAPH = ("harness_probes.engines.graph_preload",)
_PRELOAD_OF_EMULATION = ("harness_probes.emulation.preload",)
ENGINE = Engine(
    checks=(
        *lmdeploy.IMPORT_CHECKS,
        *lmdeploy.CONFIGURE_CHECKS,
        Check("model-graph", (Stage.CONFIGURE,), "engines.pytorch:model_graph", Needs.CONFIG, _PRELOAD_OF_GRAPH),
        lmdeploy.IMAGE_AND_PROMPT,
        Check("emulation", (Stage.EMULATE,), "emulation.stage:emulate", Needs.CHECKPOINT, _PRELOAD_OF_EMULATION),
        TWO_PASS,
    ),
    needs_gpu=True,
    modules=lmdeploy.MODULES,
    vision_modules=lmdeploy.VISION_MODULES,
    own_modules=(
        "lmdeploy.pytorch.engine",
        "lmdeploy.pytorch.engine.engine",
        "lmdeploy.pytorch.engine.engine_instance",
        "lmdeploy.pytorch.engine.executor.uni_executor",  # from 0.8
        "lmdeploy.pytorch.engine.model_agent",
        "lmdeploy.pytorch.engine.model_agent.agent",  # a package from 0.12
        "lmdeploy.pytorch.check_env.transformers",
        "lmdeploy.pytorch.check_env.model",
        "lmdeploy.pytorch.backends.cuda",
        "lmdeploy.pytorch.backends.cuda.graph_runner",
        "lmdeploy.pytorch.config",
        "lmdeploy.pytorch.configurations",
        "lmdeploy.pytorch.models.patch",
        "lmdeploy.pytorch.nn",
    ),
    optional_modules=("lmdeploy.pytorch.engine.guided_process",),
    configuration=Configuration(
        "pytorch",
        "PytorchEngineConfig",
        # CUDA graphs cost memory of their own
        smoke=PytorchSettings(session_len=2048, max_batch_size=4, max_prefill_token_num=2048, eager_mode=True),
    ),
    architectures=Architectures("lmdeploy.pytorch.models.module_map", "MODULE_MAP"),
)

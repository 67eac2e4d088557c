"""What made-up combinations die of: looks like the world, claims nothing about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.core.verdict import Reason, Stage, Status

if TYPE_CHECKING:
    from collections.abc import Mapping


class Trouble(NamedTuple):
    """What a made-up combination dies of."""

    stage: Stage
    check: str
    reason: Reason
    status: Status = Status.FAIL
    detail: str = ""
    exception: tuple[str, str] = ("", "")
    frames: tuple[tuple[str, int, str, str], ...] = ()
    signature: str | None = None
    captures: Mapping[str, str] = {}
    title: str = ""
    cause: str = ""
    remedy: str = ""
    source: str = ""


IMAGES_KWARGS = Trouble(
    stage=Stage.IMPORT,
    check="vision-builder",
    reason=Reason.SYMBOL,
    detail="transformers.processing_utils.ImagesKwargs",
    exception=("ImportError", "cannot import name 'ImagesKwargs' from 'transformers.processing_utils'"),
    frames=(
        ("lmdeploy/vl/model/builder.py", 15, "<module>", "from .gemma3_vl import Gemma3VisionModel"),
        ("lmdeploy/vl/model/gemma3_vl.py", 6, "<module>", "from transformers.processing_utils import ImagesKwargs"),
    ),
    signature="symbol-not-yet-added",
    captures={"symbol": "ImagesKwargs", "provider": "transformers"},
    title="ImagesKwargs is not there yet in this transformers",
    cause="lmdeploy.vl.model.builder imports every vision model at once; Gemma 3's needs ImagesKwargs.",
    remedy="Use transformers 4.42.0 or later; Qwen2-VL itself needs 4.45.0 or later.",
    source="transformers source tree, processing_utils.py",
)
BEAM_SEARCH = Trouble(
    stage=Stage.IMPORT,
    check="model-requirements",
    reason=Reason.SYMBOL,
    detail="transformers.BeamSearchScorer",
    exception=("ImportError", "cannot import name 'BeamSearchScorer' from 'transformers'"),
    frames=(
        ("transformers_stream_generator/main.py", 15, "<module>", "from transformers import BeamSearchScorer"),
        ("transformers/utils/import_utils.py", 2044, "__getattr__", "raise AttributeError"),
    ),
    signature="symbol-removed",
    captures={"symbol": "BeamSearchScorer", "provider": "transformers"},
    title="BeamSearchScorer was removed from transformers",
    cause="transformers_stream_generator, which Qwen-VL needs, imports a name that is gone.",
    remedy="Use transformers 4.56.2 or earlier.",
    source="transformers source tree, __init__.py",
)
SAFETENSORS = Trouble(
    stage=Stage.IMPORT,
    check="vision-builder",
    reason=Reason.SYMBOL,
    detail="transformers.utils.is_safetensors_available",
    exception=("ImportError", "cannot import name 'is_safetensors_available' from 'transformers.utils'"),
    frames=(
        ("lmdeploy/vl/model/internvl.py", 9, "<module>", "from transformers.utils import is_safetensors_available"),
    ),
    signature="symbol-removed",
    captures={"symbol": "is_safetensors_available", "provider": "transformers"},
    title="is_safetensors_available was removed from transformers",
    cause="transformers 5 removed the helper; lmdeploy 0.11.1 still imports it.",
    remedy="Use transformers before 5, or lmdeploy 0.12.3 or later.",
    source="transformers source tree, utils/__init__.py",
)
GPTQ = Trouble(
    stage=Stage.CONFIGURE,
    check="model-graph",
    reason=Reason.QUANTISATION,
    detail="gptq",
    exception=("TypeError", "Unsupported quant method: gptq"),
    frames=(("lmdeploy/pytorch/config.py", 501, "get_quant_config", "raise TypeError(...)"),),
    signature="gptq-on-pytorch-engine",
    captures={"method": "gptq"},
    title="The pytorch engine does not load GPTQ",
    cause="The pytorch engine knows awq and fp8, not gptq.",
    remedy="Use the turbomind backend, or an AWQ checkpoint.",
    source="lmdeploy source tree, pytorch/config.py",
)
NO_GPU = Trouble(
    stage=Stage.BOOT,
    check="two-pass",
    reason=Reason.DRIVER_OR_GPU,
    status=Status.BLOCKED,
    title="No NVIDIA driver on this machine",
    signature="no-driver",
    cause="LMDeploy's engines need a GPU.",
    remedy="Run the same combination on a machine with a GPU and a driver.",
)
WEIGHTS = Trouble(
    stage=Stage.PREPROCESS,
    check="image-and-prompt",
    reason=Reason.WEIGHTS,
    status=Status.BLOCKED,
    detail="Qwen/Qwen2-VL-2B-Instruct is not on this machine",
    title="The weights are not on this machine",
    remedy="hf download Qwen/Qwen2-VL-2B-Instruct",
)
NETWORK = Trouble(
    stage=Stage.INSTALL,
    check="uv-sync",
    reason=Reason.HUB_NETWORK,
    status=Status.INFRA,
    detail="connection reset",
    title="The package index could not be reached",
    remedy="Run it again.",
)
WRONG = Trouble(
    stage=Stage.SEE,
    check="two-pass",
    reason=Reason.WRONG_ANSWER,
    detail="top left blue",
    title="The picture was misread",
    cause="The answer names other colours than the picture has.",
    remedy="Compare with the transformers backend on the same checkpoint.",
)
SUBSTITUTED = Trouble(
    stage=Stage.BOOT,
    check="two-pass",
    reason=Reason.BACKEND_SUBSTITUTED,
    detail="asked for turbomind, got pytorch",
    title="The pytorch engine came up instead of turbomind",
    cause="TurboMind does not know the architecture, and LMDeploy takes the other engine unasked.",
    remedy="Choose the pytorch backend, or a version whose TurboMind knows the model.",
)

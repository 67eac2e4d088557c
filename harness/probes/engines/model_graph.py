"""The pytorch engine's own module graph for the model, built without weights.

This is where an engine finds out that it has no layer for a quantisation, no rewrite for an architecture, or that the
configuration lost an attribute. Modules are built on the meta device where the version's layers allow it.
"""

from __future__ import annotations

import importlib
import inspect
import time
from typing import TYPE_CHECKING, Any, Dict

from . import gpu_stand_ins
from .configure import load_model_config, wanted_folder

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request


def model_graph(request: Request, events: Events) -> None:
    """Build the graph; facts: the stand-ins, the device, modules and parameters."""
    with events.answering("configure") as answer:
        folder = wanted_folder(request)
        stand_ins = gpu_stand_ins.install(triton=True)
        events.fact("stand_ins", stand_ins)
        configuration = load_model_config(request, folder)
        graph = build(configuration)
        events.fact("graph", graph)
        if stand_ins["used"]:
            answer.message = "GPU queries were answered by stand-ins; nothing ran"


def build(configuration: Any) -> Dict[str, Any]:
    """The patched model of this configuration, described."""
    torch = importlib.import_module("torch")
    patch = importlib.import_module("lmdeploy.pytorch.models.patch")
    started = time.perf_counter()
    keywords = build_keywords(patch, configuration)
    model = patch.build_patched_model(configuration, device=torch.device("meta"), **keywords)
    return {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "device": "meta",
        "dtype": str(configuration.dtype).replace("torch.", ""),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "modules": sum(1 for _ in model.modules()),
        "seconds": round(time.perf_counter() - started, 3),
    }


def build_keywords(patch: Any, configuration: Any) -> Dict[str, Any]:
    """What this version's engine hands to the builder besides the configuration."""
    kind = getattr(patch, "BuildModelContext", None)
    if kind is None or "build_model_ctx" not in inspect.signature(patch.build_patched_model).parameters:
        return {}
    known = inspect.signature(kind).parameters
    wanted = {
        name: getattr(configuration, name)
        for name in ("quant_config", "fp32_lm_head", "tie_word_embeddings", "dllm_config")
        if name in known and hasattr(configuration, name)
    }
    return {"build_model_ctx": kind(**wanted)}

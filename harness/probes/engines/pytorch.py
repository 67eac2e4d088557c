"""The pytorch engine: its kernels' modules, its list of architectures, its configuration and graph of a model."""

from __future__ import annotations

import importlib
import inspect
import time
from typing import TYPE_CHECKING, Any, Dict

from ..running.events import Failed
from . import gpu_stand_ins, lmdeploy
from .configure import DTYPE, shown, wanted_folder
from .imports import timed_imports

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request

boot = lmdeploy.boot


def prepare(events: Events, seconds: Dict[str, float]) -> bool:
    """Stand in for the card, which some versions' kernel modules ask for as soon as they are imported (0.15)."""
    timed_imports(("triton",), events, seconds)  # an old one needs setuptools as soon as it is imported
    stand_ins = gpu_stand_ins.install(triton=True)
    events.fact("stand_ins", stand_ins)
    return not stand_ins["used"]


def require_support(request: Request, _folder: str, facts: Dict[str, Any], _events: Events) -> None:
    """Compare the architecture with this version's list.

    Raises:
        Failed: the engine has no such architecture.
    """
    architecture, removed = request.model.architecture, support_facts(request, facts)
    if architecture in removed:
        raise Failed(f"support for {removed[architecture]} ({architecture}) was removed", "architecture-unsupported")
    if not facts["supported_by_pytorch"]:
        raise Failed(f"{architecture} is not among the pytorch engine's architectures", "architecture-unsupported")


def support_facts(request: Request, facts: Dict[str, Any]) -> Dict[str, str]:
    """Fill in the engine's architectures; those whose removal it announces."""
    module = importlib.import_module("lmdeploy.pytorch.models.module_map")
    listed = sorted(module.MODULE_MAP)
    facts.update(
        architecture=request.model.architecture,
        quantisation=request.model.quantisation,
        requested=request.backend,
        predicted=request.backend,
        supported_by_pytorch=request.model.architecture in listed,
        pytorch_architectures=listed,
    )
    return dict(getattr(module, "REMOVED_MODEL_MAP", {}))


def configuration(request: Request, folder: str, _events: Events) -> Dict[str, Any]:
    """The engine's ``ModelConfig`` as its executor makes it."""
    return shown(load_model_config(request, folder))


def load_model_config(request: Request, folder: str) -> Any:
    """The configuration object.

    ``trust_remote_code`` is given only when the model asks for it: the default is the version's own (True up to
    0.12.3, False from 0.14).
    """
    module = importlib.import_module("lmdeploy.pytorch.config")
    trust = {"trust_remote_code": True} if request.model.trust_remote_code else {}
    return module.ModelConfig.from_pretrained(folder, dtype=DTYPE, **trust)


def model_graph(request: Request, events: Events) -> None:
    """Build the engine's own module graph of the model, without weights; facts: device, modules, parameters.

    This is where an engine finds out that it has no layer for a quantisation, no rewrite for an architecture, or that
    the configuration lost an attribute. Modules are built on the meta device where the version's layers allow it.
    """
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

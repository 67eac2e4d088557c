"""Do engine, architecture, quantisation and configuration agree?

Support is read from each version's own lists, not from ``autoget_backend``: that one answers "pytorch" wherever the
driver is missing, because the extension's ImportError is swallowed.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from ..running.driver import driver_present
from ..running.events import Blocked, Events, Failed, summary
from . import gpu_stand_ins
from .imports import exists
from .native import prepare_turbomind

if TYPE_CHECKING:
    from ..running.request import Request

DTYPE = "float16"
"""What configurations are made for: every card and every quantisation has it."""
SHOWN_SETTINGS = 40


def wanted_folder(request: Request) -> str:
    """The folder with the model's configuration.

    Raises:
        Blocked: the request names none.
    """
    folder = request.model.configuration
    if folder is None:
        raise Blocked("no configuration of this model is on this machine", "weights-missing-or-corrupt")
    return folder


def backend_support(request: Request, events: Events) -> None:
    """Compare the backend asked for with the one this version would run; facts: its lists and what it says."""
    with events.answering("configure") as answer:
        folder = wanted_folder(request)
        facts: Dict[str, Any] = {}
        try:
            require_support(request, folder, facts, events)
        finally:
            events.fact("backend_support", facts)
        if facts.get("over_stand_in"):
            answer.message = "read from the engine's own lists over a stand-in for its extension"


def require_support(request: Request, folder: str, facts: Dict[str, Any], events: Events) -> None:
    """Fill in what this version's lists say of the model and the backend asked for.

    Raises:
        Failed: the engine would be substituted, or has no such architecture.
    """
    architecture = request.model.architecture
    pytorch_architectures, removed = pytorch_lists()
    facts.update(
        architecture=architecture,
        quantisation=request.model.quantisation,
        requested=request.backend,
        predicted=request.backend,
        supported_by_pytorch=architecture in pytorch_architectures,
        pytorch_architectures=pytorch_architectures,
    )
    if request.backend == "turbomind":
        require_turbomind(request, folder, facts, events)
    elif architecture in removed:
        raise Failed(f"support for {removed[architecture]} ({architecture}) was removed", "architecture-unsupported")
    elif architecture not in pytorch_architectures:
        raise Failed(f"{architecture} is not among the pytorch engine's architectures", "architecture-unsupported")


def pytorch_lists() -> Tuple[List[str], Dict[str, str]]:
    """Architectures that the pytorch engine has a rewrite for, and those whose removal it announces."""
    module = importlib.import_module("lmdeploy.pytorch.models.module_map")
    return sorted(module.MODULE_MAP), dict(getattr(module, "REMOVED_MODEL_MAP", {}))


def require_turbomind(request: Request, folder: str, facts: Dict[str, Any], events: Events) -> None:
    """Fill in whether TurboMind would run the model.

    Raises:
        Failed: it would not; ``lmdeploy.pipeline`` would take the pytorch engine without being asked.
    """
    facts["over_stand_in"] = not prepare_turbomind(events)
    module = importlib.import_module("lmdeploy.turbomind.supported_models")
    listed = sorted(module.SUPPORTED_ARCHS)
    supported = bool(call_with_trust(module.is_supported, folder, request))
    facts.update(
        turbomind_architectures=listed,
        listed_by_turbomind=request.model.architecture in listed,
        supported_by_turbomind=supported,
        predicted="turbomind" if supported else "pytorch",
    )
    if supported:
        return
    why = "is_supported() says no" if facts["listed_by_turbomind"] else "it is not among its architectures"
    what = f"turbomind would not run {request.model.architecture}: {why}"
    if facts["supported_by_pytorch"]:
        raise Failed(f"{what}; lmdeploy.pipeline would take pytorch instead", "backend-substituted")
    raise Failed(f"{what}, and the pytorch engine has no such architecture either", "architecture-unsupported")


def model_config(request: Request, events: Events) -> None:
    """Make the engine's own configuration of the model for float16; facts: what it understood."""
    with events.answering("configure") as answer:
        folder = wanted_folder(request)
        if request.backend == "turbomind":
            stand_ins = gpu_stand_ins.install(triton=False)
            require_support(request, folder, {}, events)  # the converter assumes it
            found = turbomind_config(request, folder)
        else:
            stand_ins = gpu_stand_ins.install(triton=False)
            found = shown(load_model_config(request, folder))
        events.fact("stand_ins", stand_ins)
        events.fact("model_config", found)
        if stand_ins["used"]:
            answer.message = "GPU queries were answered by stand-ins"


def load_model_config(request: Request, folder: str) -> Any:
    """The pytorch engine's ``ModelConfig`` as its executor makes it.

    ``trust_remote_code`` is given only when the model asks for it: the default is the version's own (True up to
    0.12.3, False from 0.14).
    """
    module = importlib.import_module("lmdeploy.pytorch.config")
    trust = {"trust_remote_code": True} if request.model.trust_remote_code else {}
    return module.ModelConfig.from_pretrained(folder, dtype=DTYPE, **trust)


def turbomind_config(request: Request, folder: str) -> Dict[str, Any]:
    """TurboMind's configuration of the model, by this version's own converter."""
    old = "lmdeploy.turbomind.deploy.converter"
    module: Any = importlib.import_module(old if exists(old) else "lmdeploy.turbomind.converter")
    settings = importlib.import_module("lmdeploy").TurbomindEngineConfig(dtype=DTYPE)
    complete_parallel_settings(settings)
    if not driver_present() and hasattr(module, "_get_executable_dtypes"):
        module._get_executable_dtypes = both_dtypes  # noqa: SLF001 - the one question that goes to the extension
    if hasattr(module, "get_tm_model"):
        require_tokenizer_where_counted(folder)
        made = module.get_tm_model(folder, request.model.name, "", settings)
        return shown(made.tm_config.model_config)
    model = call_with_trust(module.get_tm_config, folder, request, settings)[0]
    return {"class": f"{type(model).__module__}.{type(model).__qualname__}", "session_len": settings.session_len}


def require_tokenizer_where_counted(folder: str) -> None:
    """Some versions count the tokenizer's tokens for TurboMind's configuration (seen in 0.9.2).

    Raises:
        Blocked: this version does, and the folder holds a configuration without a tokenizer.
    """
    settings = importlib.import_module("lmdeploy.turbomind.deploy.config").ModelConfig
    counted = any(item.name == "tokenizer_size" for item in fields(settings))
    if counted and not any(Path(folder).glob("*token*")):
        raise Blocked(
            "this version's converter counts the tokenizer's tokens, and there is no tokenizer",
            "weights-missing-or-corrupt",
        )


def both_dtypes(_formats: Any, _device: Any) -> Any:
    """What a card of today can execute."""
    return {"float16", "bfloat16"}


def complete_parallel_settings(settings: Any) -> None:
    """One device, no parallelism: what the engine fills in itself before it converts a model."""
    for name in ("attn_tp_size", "attn_cp_size", "mlp_tp_size", "attn_dp_size", "mlp_dp_size", "outer_dp_size"):
        if getattr(settings, name, 1) is None:
            setattr(settings, name, 1)
    if getattr(settings, "devices", [0]) is None:
        settings.devices = [0]


def call_with_trust(function: Any, folder: str, request: Request, *others: Any) -> Any:
    """Call a function of lmdeploy with ``trust_remote_code`` where this version takes it."""
    trust: Dict[str, Any] = {}
    if "trust_remote_code" in inspect.signature(function).parameters:
        trust["trust_remote_code"] = request.model.trust_remote_code
    return function(folder, *others, **trust)


def shown(configuration: Any) -> Dict[str, Any]:
    """The simple settings of a configuration object."""
    values: Optional[Dict[str, Any]] = None
    try:
        values = asdict(configuration) if is_dataclass(configuration) and not isinstance(configuration, type) else None
    except Exception as error:  # a field that cannot be copied: show the attributes instead
        values = {"not_copied": summary(error), **vars(configuration)}
    simple = {
        name: value if isinstance(value, (bool, int, float, list)) else str(value)
        for name, value in (values if values is not None else vars(configuration)).items()
        if isinstance(value, (bool, int, float, str, list)) or "dtype" in name
    }
    return dict(list(simple.items())[:SHOWN_SETTINGS])

"""Do engine, architecture, quantisation and configuration agree?

Support is read from each version's own lists, not from ``autoget_backend``: that one answers "pytorch" wherever the
driver is missing, because the extension's ImportError is swallowed.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from ..running.events import Blocked, Events, Failed, summary
from . import gpu_stand_ins
from .backend import engine_module
from .settings import told_settings

if TYPE_CHECKING:
    from ..running.request import Request

DTYPE = "float16"
"""What configurations are made for: every card and every quantisation has it."""
SHOWN_SETTINGS = 40
UNNAMED = "other"
"""What a model spec calls a quantisation that is none of LMDeploy's."""
LANGUAGE_MODEL = ("text_config", "llm_config", "thinker_config")
"""Parts of a configuration that describe the language model of one that takes images."""


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
        if request.model.quantisation == UNNAMED:
            raise Blocked("the weights are stored by a method that LMDeploy does not name", "quantisation-unsupported")
        facts: Dict[str, Any] = {}
        try:
            engine_module(request.backend).require_support(request, folder, facts, events)
        finally:
            events.fact("backend_support", facts)
        if facts.get("over_stand_in"):
            answer.message = "read from the engine's own lists over a stand-in for its extension"


def model_config(request: Request, events: Events) -> None:
    """Make the engine's own configuration of the model for float16; facts: what it understood."""
    with events.answering("configure") as answer:
        folder = wanted_folder(request)
        stand_ins = gpu_stand_ins.install(triton=False)
        if request.engine.get("asked"):
            events.fact("told", told_settings(request.engine, request.engine["asked"]))
            require_whole_heads(folder, int(request.engine["asked"].get("tp", 1)))
        found = engine_module(request.backend).configuration(request, folder, events)
        events.fact("stand_ins", stand_ins)
        events.fact("model_config", found)
        if stand_ins["used"]:
            answer.message = "GPU queries were answered by stand-ins"


def require_whole_heads(folder: str, cards: int) -> None:
    """What both engines demand of ``tp`` when they load the weights: each card has whole heads, or all share one.

    Raises:
        Failed: the heads cannot be divided so.
    """
    told = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    parts = [told, *(told[name] for name in LANGUAGE_MODEL if isinstance(told.get(name), dict))]
    parts += [part["text_config"] for part in parts if isinstance(part.get("text_config"), dict)]
    heads = next((int(part["num_attention_heads"]) for part in parts[::-1] if part.get("num_attention_heads")), 0)
    groups = next((int(part["num_key_value_heads"]) for part in parts[::-1] if part.get("num_key_value_heads")), heads)
    for count, what in ((heads, "attention heads"), (groups, "key-value heads")):
        shared = what == "key-value heads" and count and cards % count == 0
        if count % cards and not shared:
            raise Failed(f"tp={cards} does not divide the model's {count} {what}", "serving-stack-semantics")


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

"""The engine's settings: those that this version has, the share of a card that may be cache, and their flags.

The host imports the rules from here, for cards and commands that it only writes about.
"""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Set, Tuple

from ..running.events import Failed

if TYPE_CHECKING:
    from ..running.request import Request

WORKSPACE_MIB = 2560
"""Room for the CUDA context, activations and the vision tower: what is left of the budget after it is cache."""
SMALLEST_CACHE_MIB = 256
CACHE_SHARE = 0.8
"""lmdeploy's own default share, never exceeded."""
HOLDERS = ("scheduler_config", "cache_config", "backend_config", "model_config", "engine_config")
"""Attributes of an engine that keep what it made of its settings; the last one holds what it was told."""
CALLED = {"session_len": "max_session_len", "max_batch_size": "max_batches"}
"""What the pytorch engine calls some of them."""


def engine_settings(request: Request) -> Tuple[Any, Dict[str, Any]]:
    """The engine's configuration object, and what was said in it.

    Raises:
        Failed: this version's engine has no such setting.
    """
    told = request.engine
    kind, known = _configuration(told["configuration"])
    asked = dict(told.get("settings", {}))
    _demand(told["configuration"], asked, known)
    used = {name: value for name, value in told.get("smoke", {}).items() if name in known}
    if "budget_mib" in told and "cache_max_entry_count" in known:
        free = importlib.import_module("torch").cuda.mem_get_info(0)[0] / 2**20
        used["cache_max_entry_count"] = round(cache_share(free, told["budget_mib"], told["weights_mib"]), 5)
    used.update(asked)
    return kind(**used), used


def read_back(engine: Any, asked: Mapping[str, Any]) -> Dict[str, Any]:
    """What the engine that came up has for each setting that was asked for.

    Raises:
        Failed: it has another value.
    """
    found: Dict[str, Any] = {}
    for name in asked:
        for holder in (getattr(engine, each, None) for each in HOLDERS):
            key = next((each for each in (name, CALLED.get(name)) if each and hasattr(holder, each)), None)
            if key is not None:
                value = getattr(holder, key)
                found[name] = value if isinstance(value, (bool, int, float)) else str(value).replace("torch.", "")
                break
    other = {name: value for name, value in found.items() if value != asked[name] and asked[name] != "auto"}
    if other:
        words = ", ".join(f"{name}={asked[name]} and the engine has {value}" for name, value in other.items())
        raise Failed(f"asked for {words}", "serving-stack-semantics")
    return found


def told_settings(engine: Mapping[str, Any], asked: Mapping[str, Any]) -> Dict[str, Any]:
    """What is asked for, once this version's configuration has taken it.

    Raises:
        Failed: it has no such setting.
    """
    kind, known = _configuration(engine["configuration"])
    _demand(engine["configuration"], asked, known)
    made = kind(**asked)
    return {name: getattr(made, name) for name in asked}


def _configuration(name: str) -> Tuple[Any, Set[str]]:
    """The class of that name, and its fields."""
    kind = getattr(importlib.import_module("lmdeploy"), name)
    return kind, {item.name for item in fields(kind)}


def _demand(name: str, asked: Mapping[str, Any], known: Set[str]) -> None:
    unknown = sorted(set(asked) - known)
    if unknown:
        raise Failed(f"this version's {name} has no {', '.join(unknown)}", "config-schema-drift")


def cache_share(free_mib: float, budget_mib: float, weights_mib: float) -> float:
    """Share of the memory that is free beside the weights with which the engine lives in its budget on any card.

    Both engines take ``cache_max_entry_count`` as a share of what is free once the weights are loaded, so the share of
    a big card that makes a small card's cache follows from the budget.
    """
    cache = max(budget_mib - weights_mib - WORKSPACE_MIB, SMALLEST_CACHE_MIB)
    return min(CACHE_SHARE, cache / max(free_mib - weights_mib, 1.0))


def flags(settings: Mapping[str, Any]) -> List[str]:
    """The settings as options of ``lmdeploy serve api_server``, which are named like them."""
    found: List[str] = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(flag)
        elif value is not False:
            found += [flag, str(value)]
    return found

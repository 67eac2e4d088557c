"""Do the modules load that a boot will load, and what the model itself imports?

``import lmdeploy`` proves nothing: broken pairs pass it. Which modules a boot imports is told by the host; one that a
version does not have is no failure, since it is only asked for where its file exists.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Sequence

from ..running.events import Events, summary
from .backend import engine_module

if TYPE_CHECKING:
    from ..running.request import Request

VERSIONED = (
    "lmdeploy",
    "transformers",
    "torch",
    "torchvision",
    "triton",
    "numpy",
    "tokenizers",
    "huggingface_hub",
    "accelerate",
    "pillow",
)
"""Packages that an answer depends on most."""


def engine_modules(request: Request, events: Events) -> None:
    """Import what a boot of this backend imports; facts: the modules, their seconds, and what is only optional."""
    with events.answering("import") as answer:
        importlib.import_module("lmdeploy")
        seconds: Dict[str, float] = {}
        timed_imports(request.engine["modules"], events, seconds)
        over_stand_ins = not engine_module(request.backend).prepare(events, seconds)
        timed_imports(request.engine["own_modules"], events, seconds)
        events.fact("modules", seconds)
        optional = [name for name in request.engine["optional_modules"] if exists(name)]
        events.fact("optional_modules", {name: import_problem(name) or "loads" for name in optional})
        if over_stand_ins:
            answer.message = "the engine's Python side was loaded over stand-ins for what needs the driver"


def vision_builder(_request: Request, events: Events) -> None:
    """Import the module that registers every vision model; one that does not import takes all others with it."""
    with events.answering("import"):
        importlib.import_module("lmdeploy.vl.model.builder")
        base = importlib.import_module("lmdeploy.vl.model.base")
        registered = getattr(getattr(base, "VISION_MODELS", None), "module_dict", {})
        events.fact("vision_models", sorted(registered))


def model_requirements(request: Request, events: Events) -> None:
    """Import what the model itself imports, up to the first that fails.

    It stops there on purpose: a parent that failed leaves its submodules in ``sys.modules``, where they look fine.
    """
    with events.answering("import") as answer:
        if not request.model.imports:
            answer.message = "the model imports nothing of its own"
            return
        events.fact("modules", timed_imports(request.model.imports, events, {}, only_existing=False))


def exists(module: str) -> bool:
    """Whether the module's file is there. Nothing is imported: a parent that fails must fail where it is asked for."""
    top, _, rest = module.partition(".")
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if found is None or not rest:
        return found is not None
    paths = [Path(folder, *rest.split(".")) for folder in found.submodule_search_locations or []]
    return any(path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() for path in paths)


def timed_imports(
    modules: Sequence[str], events: Events, seconds: Dict[str, float], *, only_existing: bool = True
) -> Dict[str, float]:
    """Import each in order and note its seconds. The first failure gets out, with what was imported told before.

    Args:
        modules: full names.
        events: told of each module before it is imported, and of the failure.
        seconds: what was imported so far, by module; added to and returned.
        only_existing: leave out modules that this version does not have.
    """
    module = ""
    try:
        for module in modules:
            if only_existing and not exists(module):
                continue
            events.progress(f"importing {module}")
            started = time.perf_counter()
            importlib.import_module(module)
            seconds[module] = round(time.perf_counter() - started, 3)
    except BaseException:
        events.fact("modules", seconds)
        events.fact("failed_module", module)
        raise
    return seconds


def import_problem(module: str) -> str:
    """Why the module does not import, in one line; empty when it does."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return summary(error)
    return ""


def versions() -> Dict[str, str]:
    """Installed versions of :data:`VERSIONED`."""
    found: Dict[str, str] = {}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found

"""Do the modules load that a boot will load, and what the model itself imports?

``import lmdeploy`` proves nothing: broken pairs pass it. What is imported here follows each version's own
``lmdeploy.pipeline`` and engine; a module that a version does not have is no failure, since it is only asked for where
its file exists.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence

from ..running.events import Blocked, Events, Failed, summary
from . import gpu_stand_ins
from .native import prepare_turbomind

if TYPE_CHECKING:
    from ..running.request import Request

SERVING_MODULES = (
    "lmdeploy.archs",
    "lmdeploy.pipeline",  # the pipeline class, from 0.12
    "lmdeploy.serve.core.async_engine",  # from 0.12
    "lmdeploy.serve.core.vl_async_engine",
    "lmdeploy.serve.processors",
    "lmdeploy.serve.async_engine",  # up to 0.11
    "lmdeploy.serve.vl_async_engine",
    "lmdeploy.vl.engine",
)
"""What ``lmdeploy.pipeline`` loads for a vision model before it chooses an engine; none of it needs a driver."""

ENGINE_MODULES = {
    "pytorch": (
        "lmdeploy.pytorch.engine.engine",
        "lmdeploy.pytorch.engine.engine_instance",
        "lmdeploy.pytorch.engine.executor.uni_executor",  # from 0.8
        "lmdeploy.pytorch.engine.model_agent",
        "lmdeploy.pytorch.engine.model_agent.agent",  # a package from 0.12
        "lmdeploy.pytorch.check_env.transformers",
        "lmdeploy.pytorch.check_env.model",
        "lmdeploy.pytorch.backends.cuda",
        "lmdeploy.pytorch.backends.cuda.graph_runner",
        "lmdeploy.pytorch.models.patch",
        "lmdeploy.pytorch.nn",
    ),
    "turbomind": (
        "lmdeploy.turbomind",
        "lmdeploy.turbomind.turbomind",
        "lmdeploy.turbomind.supported_models",
        "lmdeploy.turbomind.deploy.converter",  # up to 0.13
        "lmdeploy.turbomind.converter",
        "lmdeploy.turbomind.model_loader",
    ),
}
"""What each engine loads. Where there is no driver, this goes over stand-ins for it."""

OPTIONAL_MODULES = {
    "pytorch": ("lmdeploy.pytorch.engine.guided_process",),
    "turbomind": (),
}
"""Loaded by some requests only (guided decoding): reported, never a failure of the boot."""

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
        timed_imports(SERVING_MODULES, events, seconds)
        over_stand_ins = not prepared(request, events, seconds)
        timed_imports(ENGINE_MODULES[request.backend], events, seconds)
        events.fact("modules", seconds)
        optional = [name for name in OPTIONAL_MODULES[request.backend] if exists(name)]
        events.fact("optional_modules", {name: import_problem(name) or "loads" for name in optional})
        if over_stand_ins:
            answer.message = "the engine's Python side was loaded over stand-ins for what needs the driver"


def prepared(request: Request, events: Events, seconds: Dict[str, float]) -> bool:
    """Make the engine's modules importable on this machine; True when nothing had to be stood in for.

    Some versions' kernel modules ask Triton and torch for the card as soon as they are imported (seen in 0.15).

    Raises:
        Failed: TurboMind's extension lacks more than the driver.
    """
    if request.backend == "turbomind":
        return prepare_turbomind(events)
    timed_imports(("triton",), events, seconds)  # an old one needs setuptools as soon as it is imported
    stand_ins = gpu_stand_ins.install(triton=True)
    events.fact("stand_ins", stand_ins)
    return not stand_ins["used"]


def vision_builder(_request: Request, events: Events) -> None:
    """Import the module that registers every vision model; one that does not import takes all others with it."""
    with events.answering("import"):
        importlib.import_module("lmdeploy.vl.model.builder")
        base = importlib.import_module("lmdeploy.vl.model.base")
        registered = getattr(getattr(base, "VISION_MODELS", None), "module_dict", {})
        events.fact("vision_models", sorted(registered))


def transformers_model(request: Request, events: Events) -> None:
    """Resolve the model's class and its processor in transformers, with every lazy module on the way loaded."""
    with events.answering("import") as answer:
        transformers = importlib.import_module("transformers")
        events.fact("versions", versions())
        architecture = request.model.architecture
        if not knows(transformers, architecture):
            own_code = remote_class(request)
            if own_code is not None:
                answer.message = own_code
                return
        model = getattr(transformers, architecture)  # forces the lazy modules; the error is the answer
        require_real(model, architecture)
        events.fact("model_class", f"{model.__module__}.{model.__qualname__}")
        require_real(transformers.AutoProcessor, "AutoProcessor")
        events.fact("processor", processor_facts(request.model.model_type))


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


def knows(package: Any, name: str) -> bool:
    """Whether a lazy package knows the name, without loading the module that defines it."""
    return name in dir(package)


def require_real(found: Any, name: str) -> None:
    """Refuse the place-holder class that transformers puts where a package is missing.

    Raises:
        Failed: the class is such a place-holder.
    """
    module = str(getattr(found, "__module__", ""))
    if ".dummy_" in module:
        needs = ", ".join(getattr(found, "_backends", [])) or "a package that is not installed"
        raise Failed(f"transformers has only a place-holder for {name}: it needs {needs}", "missing-dependency")


def remote_class(request: Request) -> Optional[str]:
    """What to say of an architecture that transformers does not have and the checkpoint's own code may define.

    Raises:
        Blocked: the model brings code, and it is not on this machine.
    """
    configuration = request.model.configuration
    mapping = auto_map(configuration)
    if not (request.model.trust_remote_code or mapping):
        return None
    sources = [value for value in mapping.values() if request.model.architecture in str(value)]
    files = [str(source).rpartition("--")[2].split(".")[0] + ".py" for source in sources]
    if configuration is None or not files or not Path(configuration, files[0]).is_file():
        raise Blocked(
            f"{request.model.architecture} is defined by the checkpoint's own code, which is not on this machine",
            "weights-missing-or-corrupt",
        )
    dynamic = importlib.import_module("transformers.dynamic_module_utils")
    dynamic.get_class_from_dynamic_module(str(sources[0]), configuration)
    return f"defined by the checkpoint's own {files[0]}"


def auto_map(folder: Optional[str]) -> Dict[str, Any]:
    """The ``auto_map`` of a checkpoint's configuration, empty where there is none."""
    if folder is None or not Path(folder, "config.json").is_file():
        return {}
    found = json.loads(Path(folder, "config.json").read_text(encoding="utf-8")).get("auto_map") or {}
    return dict(found) if isinstance(found, dict) else {}


def processor_facts(model_type: str) -> Dict[str, str]:
    """The classes that the automatic ones choose for this model type, each really loaded.

    Raises:
        Failed: one of them is a place-holder for a missing package.
    """
    transformers = importlib.import_module("transformers")
    facts: Dict[str, str] = {}
    configurations = importlib.import_module("transformers.models.auto.configuration_auto")
    names = getattr(configurations, "CONFIG_MAPPING_NAMES", {})
    if model_type in names:
        found = configurations.CONFIG_MAPPING[model_type]
        facts["configuration"] = f"{found.__module__}.{found.__qualname__}"
    processors = importlib.import_module("transformers.models.auto.processing_auto")
    name = getattr(processors, "PROCESSOR_MAPPING_NAMES", {}).get(model_type)
    if isinstance(name, str):
        chosen = getattr(transformers, name)
        require_real(chosen, name)
        facts["processor"] = f"{chosen.__module__}.{chosen.__qualname__}"
    return facts

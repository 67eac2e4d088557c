"""TurboMind: its compiled extension, its list of architectures and its configuration of a model.

Up to lmdeploy 0.16 the extension is ``lmdeploy/lib/_turbomind*.so`` (with ``_xgrammar`` beside it in some versions),
later ``lmdeploy/turbomind/_turbomind*.so``. It links the driver's library, so on a machine without one neither it nor
the Python modules over it can be imported. Its other libraries can be looked for, and the Python side can be loaded
over a stand-in; both are said in facts.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import itertools
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Dict, List

from ..running.driver import DRIVER_LIBRARY, driver_present
from ..running.events import Blocked, Events, Failed
from ..running.exceptions import without_prefixes
from . import lmdeploy
from .configure import DTYPE, call_with_trust, shown
from .imports import exists
from .pytorch import support_facts

if TYPE_CHECKING:
    from ..running.request import Request

boot = lmdeploy.boot

EXTENSIONS = ("_turbomind", "_xgrammar")
_IN_PACKAGE = "lmdeploy.turbomind."


class Recorder:
    """Instance of a stand-in class: takes anything, keeps what is set, and answers any other name with its like."""

    def __init__(self, *_arguments: Any, **_keywords: Any) -> None:
        pass

    def __call__(self, *_arguments: Any, **_keywords: Any) -> "Recorder":
        """Another one."""
        return Recorder()

    def clone(self) -> "Recorder":
        """Another one with what was set, as the extension's configurations have it."""
        made = type(self)()
        vars(made).update(vars(self))
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = Recorder()
        setattr(self, name, made)
        return made


class _StandInClass(type):
    """Metaclass of the stand-in's classes: any attribute is another such class."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _StandInClass(name, (Recorder,), {})
        setattr(cls, name, made)
        return made


class StandIn(ModuleType):
    """A module with a class for every name asked of it; none of them does anything."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: List[str] = []  # a package too, in case something imports from under it

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _StandInClass(name, (Recorder,), {})
        setattr(self, name, made)
        return made


def extension_files() -> Dict[str, str]:
    """The extension's files by module name, without importing lmdeploy."""
    found = importlib.util.find_spec("lmdeploy")
    folders = list(found.submodule_search_locations or []) if found else []
    files: Dict[str, str] = {}
    for name, folder, place in itertools.product(EXTENSIONS, folders, ("lib", "turbomind")):
        for file in sorted(Path(folder, place).glob(name + "*.so")):
            files.setdefault(name, str(file))
    return files


def missing_libraries(file: str) -> List[str]:
    """Shared libraries that ``file`` needs and this process could not load; call it after ``import torch``.

    The loader's own listing honours the file's search path. A library that it does not find may still be there under
    the same name once torch has loaded it, so each is also tried.
    """
    lister = shutil.which("ldd")
    if lister is None:
        return []
    listing = subprocess.run([lister, file], capture_output=True, text=True, check=False, errors="replace")
    names = [line.split("=>")[0].strip() for line in listing.stdout.splitlines() if line.rstrip().endswith("not found")]
    return [name for name in dict.fromkeys(names) if not _loads(name)]


def prepare(events: Events, _seconds: Dict[str, float]) -> bool:
    """Make ``lmdeploy.turbomind`` importable, over a stand-in where the driver is missing; True when it is real.

    Raises:
        Failed: the wheel has no extension, or a library other than the driver's is missing.
    """
    files = extension_files()
    if "_turbomind" not in files:
        raise Failed("this lmdeploy wheel has no _turbomind extension for this Python", "no-compatible-wheel")
    importlib.import_module("torch")  # brings the CUDA libraries that the extension expects in the process
    missing = {name: missing_libraries(file) for name, file in files.items()}
    real = driver_present()
    events.fact(
        "turbomind_extension",
        {
            "files": [without_prefixes(file) for file in files.values()],
            "missing_libraries": sorted({library for libraries in missing.values() for library in libraries}),
            "loaded": "real" if real else f"stand-in: {DRIVER_LIBRARY} is not on this machine",
        },
    )
    others = sorted({library for libraries in missing.values() for library in libraries} - {DRIVER_LIBRARY})
    if others:
        raise Failed(f"the _turbomind extension needs {', '.join(others)}", "native-library-missing")
    if not real:
        install_stand_ins(files)
    return real


def install_stand_ins(files: Dict[str, str]) -> None:
    """Put a stand-in where each extension would be imported from."""
    for name, file in files.items():
        in_package = Path(file).parent.name == "turbomind"
        full = _IN_PACKAGE + name if in_package else name
        sys.modules[full] = StandIn(full)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def require_support(request: Request, folder: str, facts: Dict[str, Any], events: Events) -> None:
    """Fill in whether TurboMind would run the model.

    Raises:
        Failed: it would not; ``lmdeploy.pipeline`` would take the pytorch engine without being asked.
    """
    support_facts(request, facts)
    facts["over_stand_in"] = not prepare(events, {})
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


def configuration(request: Request, folder: str, events: Events) -> Dict[str, Any]:
    """TurboMind's configuration of the model, by this version's own converter, which assumes that it is supported."""
    require_support(request, folder, {}, events)
    settings = plain_settings()
    model = made(request, folder, settings)
    if hasattr(model, "tm_config"):
        return shown(model.tm_config.model_config)
    return {"class": f"{type(model).__module__}.{type(model).__qualname__}", "session_len": settings.session_len}


def plain_settings() -> Any:
    """The engine's settings on one card."""
    settings = importlib.import_module("lmdeploy").TurbomindEngineConfig(dtype=DTYPE)
    complete_parallel_settings(settings)
    return settings


def made(request: Request, folder: str, settings: Any) -> Any:
    """TurboMind's own object for the model: up to lmdeploy 0.13 with its readers, later with all it asks for."""
    old = "lmdeploy.turbomind.deploy.converter"
    module: Any = importlib.import_module(old if exists(old) else "lmdeploy.turbomind.converter")
    if not driver_present() and hasattr(module, "_get_executable_dtypes"):
        module._get_executable_dtypes = both_dtypes  # noqa: SLF001 - the one question that goes to the extension
    if hasattr(module, "get_tm_model"):
        require_tokenizer_where_counted(folder)
        return module.get_tm_model(folder, request.model.name, "", settings)
    return call_with_trust(module.get_tm_config, folder, request, settings)[0]


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

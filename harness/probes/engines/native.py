"""TurboMind's compiled extension: its shared libraries, and a stand-in for it where there is no driver.

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
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List

from ..running.driver import DRIVER_LIBRARY, driver_present
from ..running.events import Events, Failed
from ..running.exceptions import without_prefixes

EXTENSIONS = ("_turbomind", "_xgrammar")
_IN_PACKAGE = "lmdeploy.turbomind."


class _Recorder:
    """Instance of a stand-in class: takes anything, keeps what is set, and answers any other name with its like."""

    def __init__(self, *_arguments: Any, **_keywords: Any) -> None:
        pass

    def __call__(self, *_arguments: Any, **_keywords: Any) -> "_Recorder":
        return _Recorder()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Recorder()
        setattr(self, name, made)
        return made


class _StandInClass(type):
    """Metaclass of the stand-in's classes: any attribute is another such class."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _StandInClass(name, (_Recorder,), {})
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
        made = _StandInClass(name, (_Recorder,), {})
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


def prepare_turbomind(events: Events) -> bool:
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

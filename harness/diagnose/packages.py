"""Which packages belong together and what they are called, in words that a remedy can use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from packaging.version import InvalidVersion, Version
from ruamel.yaml import YAML

from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).with_name("packages.yaml")
_LIBRARY = text_pattern(r"lib(?P<stem>[A-Za-z]\w*?)(?:_\w+)?\.so(?:\.(?P<major>\d+))?")
_NOT_OPENED = text_pattern(r"(?P<library>lib[\w-]+\.so[.\d]*)[\"']?:? ?cannot open")
_NUMBERED_LIKE_CUDA = frozenset({"cudart", "cublas", "cublasLt", "nvrtc", "nvJitLink"})
"""Libraries whose number is that of their CUDA."""
_PLAIN = "13"
"""From this CUDA on wheels have no number in their name, those of the first kinds at least."""
_SHOWN = 5
_NOW = Version("2.12")
"""Where no torch is told, releases up to here are shown: what engines are published for."""


def companion(name: str, installed: Mapping[str, str]) -> str:
    """The release of a package that belongs to the torch that is there; some of them where none is told."""
    torch = _base(installed.get("torch", ""))
    known = _companions()
    if torch in known:
        return f'"{name}=={known[torch][name]}", the {name} of torch {torch}'
    minors = {release.rpartition(".")[0]: each[name] for release, each in known.items() if Version(release) < _NOW}
    told = ", ".join(f"{minor}: {version}" for minor, version in list(minors.items())[-_SHOWN:])
    return f"the {name} of this torch ({told}; python -m pip show torch tells which)"


def wheel_of(text: str) -> str:
    """The wheel that holds the library which a message misses, as a requirement; empty where that is not known."""
    missed = _NOT_OPENED.search(text)
    match = _LIBRARY.search(missed.group("library") or "" if missed else text)
    if match is None:
        return ""
    stem, major = match.group("stem") or "", match.group("major") or ""
    wheel = _names("libraries").get(stem, "")
    if not wheel:
        return ""
    cuda = major if stem in _NUMBERED_LIKE_CUDA and major else "12"
    name = wheel if cuda == _PLAIN else f"{wheel}-cu{cuda}"
    return f"{name}=={major}.*" if stem == "cudnn" and major else name


def distribution(module: str) -> str:
    """What to install for an import; empty where that is not known."""
    return _names("modules").get(module.partition(".")[0], "")


def _base(version: str) -> str:
    try:
        return Version(version).base_version
    except InvalidVersion:
        return ""


def _companions() -> dict[str, dict[str, str]]:
    """By release of torch, the releases of others that belong to it."""
    found: dict[str, dict[str, str]] = _tables()["torch"]
    return found


def _names(table: Literal["libraries", "modules"]) -> dict[str, str]:
    found: dict[str, str] = _tables()[table]
    return found


@cache
def _tables() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
    return loaded

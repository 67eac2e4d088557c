"""Whether uv finds versions for the commands that ``explain`` prints, beside the engine and torch that are there."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.environments.uv import UvFailure, run_uv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BESIDE = ("lmdeploy", "vllm", "sglang", "torch")
"""Packages that a remedy is not to move; the others follow."""
_LIMIT_S = 90


def resolved(requirements: Sequence[str], installed: Mapping[str, str], *, offline: bool) -> str:
    """What uv says to some requirements together, in words that follow the command."""
    asked = {canonicalize_name(Requirement(each).name) for each in requirements}
    beside = [f"{name}=={version}" for name in _BESIDE if name not in asked and (version := _public(installed, name))]
    having = f" with {' and '.join(beside)}" if beside else ""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.in"
        file.write_text("\n".join([*requirements, *beside]), encoding="utf-8")
        options = ["--offline"] if offline else []
        try:
            lock = run_uv(
                ["pip", "compile", "--no-header", "--no-annotate", *options, str(file)],
                folder=Path(folder),
                timeout=_LIMIT_S,
            )
        except UvFailure as error:
            if error.of_versions and not offline:
                return f"uv finds no versions{having}: {_short(error.message)}"
            return f"not resolved here ({error.kind})"
    pins = dict(re.findall(r"^([a-z][\w.-]*)(?:\[[^\]]*\])?==(\S+)", lock, re.MULTILINE))
    found = ", ".join(f"{name} {pins[name]}" for name in sorted(asked & pins.keys()))
    return f"resolved by uv{having}: {found}"


def _public(installed: Mapping[str, str], name: str) -> str:
    """The installed version without its local part, which indexes do not have."""
    try:
        return Version(installed.get(name, "")).public
    except InvalidVersion:
        return ""


def _short(message: str) -> str:
    words = " ".join(message.replace("\u2570\u2500\u25b6", " ").split())  # the arrow of uv's explanation
    return words.partition("Because ")[2][:300].strip() or words[:300]

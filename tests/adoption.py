"""The wheel of this repository in an environment of its own, as a stranger has it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.environments.uv import uv_binary
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def build_wheel(folder: Path) -> Path:
    """The wheel, built by the tool that ``pyproject.toml`` names, from what is here."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel."""

    folder: Path
    variables: Mapping[str, str]
    """What its children are told."""
    seconds: float = 600
    """How long a command may take."""

    @property
    def program(self) -> Path:
        """The one command."""
        return self.folder / "bin" / "lmdeploy-harness"

    def __call__(self, where: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a folder."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=where,
            env={**self.variables, **extra},
            capture_output=True,
            text=True,
            timeout=self.seconds,
            check=False,
        )


def install_wheel(wheel: Path, folder: Path, variables: Mapping[str, str]) -> Installed:
    """An environment with that wheel; what it needs is lent by the tests' own environment, so no network is used."""
    here = dict(os.environ) | {"UV_OFFLINE": "1"}
    subprocess.run([uv_binary(), "venv", "-q", "--python", sys.executable, folder], env=here, check=True)
    python = folder / "bin" / "python"
    install: list[str | Path] = [uv_binary(), "pip", "install", "-q", "--no-deps", "--python", python, wheel]
    subprocess.run(install, env=here, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    path = os.pathsep.join([str(uv_binary().rpartition("/")[0]), variables.get("PATH", os.defpath)])
    return Installed(folder, {**variables, "PATH": path})

"""A host that ssh reaches: its package list, the parts there, the run, and its results back."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

RESULTS = "bundle/results/results.tar.gz"
_RAN = (0, 1)
"""How the run there ends when it has results: as expected, and with an unexpected verdict."""


class HostFailed(HarnessError, RuntimeError):  # noqa: N818 - reads as what happened
    """A command for the host did not succeed; the message says which and why."""

    exit_code = ExitCode.INFRASTRUCTURE


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """A host by the name that ssh knows it by, and the folder there that everything goes to."""

    name: str
    folder: str = "lmdeploy-harness-bundle"

    def packages(self) -> Sequence[Mapping[str, str]]:
        """What ``pip list --format json`` says there."""
        told = self._ask("python3 -m pip list --format json --disable-pip-version-check")
        try:
            return [dict(each) for each in json.loads(told)]
        except (ValueError, TypeError) as error:
            raise HostFailed(f"{self.name}: 'pip list' did not answer with JSON: {error}") from error

    def python(self) -> str:
        """The version of its Python."""
        return self._ask("python3 -c 'import platform; print(platform.python_version())'").strip()

    def send(self, files: Iterable[Path]) -> None:
        """Copy files into its folder, which then holds no earlier bundle."""
        self._ask(f"rm -rf {shlex.quote(self.folder)} && mkdir -p {shlex.quote(self.folder)}")
        self._do(["scp", "-q", *map(str, files), f"{self.name}:{self.folder}/"])

    def run(self, arguments: Sequence[str]) -> None:
        """Unpack and run there; what it says goes to the terminal."""
        command = f"cd {shlex.quote(self.folder)} && python3 unpack.py -- {shlex.join(arguments)}"
        ended = subprocess.run(["ssh", self.name, command], check=False).returncode
        if ended not in _RAN:
            raise HostFailed(f"{self.name}: the run ended with {ended}; its folder {self.folder} is still there")

    def fetch(self, into: Path) -> Path:
        """Its results."""
        into.mkdir(parents=True, exist_ok=True)
        self._do(["scp", "-q", f"{self.name}:{self.folder}/{RESULTS}", str(into)])
        return into / RESULTS.rpartition("/")[2]

    def _ask(self, command: str) -> str:
        return self._do(["ssh", self.name, command])

    def _do(self, command: Sequence[str]) -> str:
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise HostFailed(f"{command[0]} is not on this machine; install an OpenSSH client") from error
        if ran.returncode:
            said = (ran.stderr.strip().splitlines() or [f"{command[0]} ended with {ran.returncode}"])[-1]
            raise HostFailed(f"{self.name}: {said}")
        return ran.stdout

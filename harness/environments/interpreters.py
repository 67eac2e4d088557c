"""Finding the interpreter a combination asks for."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

from harness.core.errors import HarnessError
from harness.environments.uv import UvFailure, run_uv

NAMED = "HARNESS_PYTHON"
"""Environment variable with the path of the only interpreter that may be used."""


class NoInterpreter(HarnessError, LookupError):  # noqa: N818 - reads as what it says of the machine
    """This machine has no such Python and uv cannot get one; the message says what to do."""

    trouble = False
    """Whether uv could not even look: its settings or the disk, and no lack of the machine's."""


@cache
def find_interpreter(request: str) -> Path:
    """Path of a Python that satisfies ``request`` (``3.11``, ``3.12.4``).

    uv looks first (its own installations, PATH, and where it may, a download); then the folders of pyenv, whose
    interpreters are not on PATH until chosen.

    Where ``HARNESS_PYTHON`` names an interpreter, that one is taken or none.

    Raises:
        NoInterpreter: nothing was found.
    """
    named = os.environ.get(NAMED)
    if named:
        return _named(Path(named), request)
    pyenv = _pyenv(request)
    if pyenv is not None:
        return pyenv
    try:
        found = run_uv(["python", "find", "--no-project", "--system", request], folder=Path(os.curdir), timeout=120)
        return Path(found.strip())
    except UvFailure:
        pass  # not there yet: uv may be able to download it
    try:
        run_uv(["python", "install", "--no-bin", request], folder=Path(os.curdir), timeout=600)
        found = run_uv(["python", "find", "--no-project", "--system", request], folder=Path(os.curdir), timeout=120)
        return Path(found.strip())
    except UvFailure as failure:
        missing = NoInterpreter(
            f"no Python {request} on this machine, and uv could not install one ({failure.message}); install it (for "
            f"example with 'uv python install {request}' or pyenv) and run again"
        )
        missing.trouble = failure.kind in {"settings", "disk"}
        raise missing from failure


def _named(python: Path, request: str) -> Path:
    """The interpreter the user named, if it is of the version asked for."""
    code = "import platform; print(platform.python_version())"
    try:
        version = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoInterpreter(f"{NAMED} names {python}, which cannot be run: {error}") from error
    if version != request and not version.startswith(f"{request}."):
        raise NoInterpreter(f"{NAMED} names a Python {version}, and {request} is asked for")
    return python


def _pyenv(request: str) -> Path | None:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    if not root.is_dir():
        return None
    found: list[tuple[Version, Path]] = []
    for folder in root.iterdir():
        python = folder / "bin" / "python"
        try:
            version = Version(folder.name)
        except InvalidVersion:
            continue  # a pyenv virtual environment or another implementation
        if python.exists() and (folder.name == request or folder.name.startswith(f"{request}.")):
            found.append((version, python))
    return max(found)[1] if found else None

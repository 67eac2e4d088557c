"""Finding the interpreter a combination asks for."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

from harness.uv import UvFailure, run_uv


class NoInterpreter(LookupError):  # noqa: N818 - reads as what it says of the machine
    """This machine has no such Python and uv cannot get one; the message says what to do."""


@cache
def find_interpreter(request: str) -> Path:
    """Path of a Python that satisfies ``request`` (``3.11``, ``3.12.4``).

    uv looks first (its own installations, PATH, and where it may, a download); then the folders of pyenv, whose
    interpreters are not on PATH until chosen.

    Raises:
        NoInterpreter: nothing was found.
    """
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
        raise NoInterpreter(
            f"no Python {request} on this machine, and uv could not install one; install it (for example with "
            f"'uv python install {request}' or pyenv) and run again"
        ) from failure


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

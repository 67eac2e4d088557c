"""What a child that is shut in is given of this machine: its interpreter, what it is asked about, and its scratch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.process.sandbox import DRIVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GPU_DRIVER = Path("/dev/nvidiactl")
_PARTS = ("bin", "lib", "lib64", "include")
"""Of an interpreter that is installed into a home, or straight into the root."""
_LIBRARIES = "LD_LIBRARY_PATH"


def given_to(
    argv: Sequence[str], environment: Mapping[str, str], writable: Sequence[Path], readable: Sequence[Path]
) -> dict[str, list[str]]:
    """What :func:`harness.process.sandbox.enter` is told.

    Args:
        argv: the program and its arguments; files that they name are readable.
        environment: of the child.
        writable: folders.
        readable: folders and files.
    """
    named = [Path(each) for each in argv[1:] if each.startswith("/")]
    libraries = [Path(each) for each in environment.get(_LIBRARIES, "").split(":") if each]
    found = [*_interpreter(Path(argv[0])), *named, *libraries, *readable]
    return {
        "write": [str(each) for each in writable],
        "read": [str(each) for each in dict.fromkeys(_with_targets(found)) if os.path.lexists(each)],
        "devices": [str(each) for each in _gpu_devices()],
        "temporary": [each for each in [environment.get("TMPDIR")] if each and Path(each).is_dir()],
    }


def _interpreter(program: Path) -> Iterator[Path]:
    """The program, what it links to, and the folders that it takes its library from."""
    yield program
    home = _home_of(program.parent.parent / "pyvenv.cfg")
    if home is not None:
        yield program.parent.parent
        yield from _prefix(home.parent)
    hop = program
    while hop.is_symlink():
        hop = hop.parent / hop.readlink()
        yield hop
    yield from _prefix(Path(os.path.realpath(program)).parent.parent)


def _home_of(settings: Path) -> Path | None:
    """The folder of the interpreter that an environment was made with."""
    if not settings.is_file():
        return None
    for line in settings.read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home" and value.strip().startswith("/"):
            return Path(value.strip())
    return None


def _prefix(folder: Path) -> Iterator[Path]:
    """Where an interpreter is installed; of a home, only what belongs to programs."""
    whose = {Path("/"), Path("/home"), Path("/root"), Path.home(), Path.home() / ".local"}
    yield from (folder / each for each in _PARTS) if folder in whose else [folder]


def _with_targets(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths, and what they are under their real names; of a folder also where its links lead."""
    for path in paths:
        yield path
        real = Path(os.path.realpath(path))
        yield real
        if real.is_dir() and (real / "config.json").exists():  # a checkpoint in the hub's cache is links to blobs
            yield from {Path(os.path.realpath(each)) for each in real.iterdir() if each.is_symlink()}


def _gpu_devices() -> Iterator[Path]:
    """What the driver of a GPU needs, where there is one: nothing else of /dev is there."""
    if GPU_DRIVER.exists():
        yield from (Path("/dev") / each for each in DRIVER)
        yield from Path("/dev").glob("nvidia[0-9]*")

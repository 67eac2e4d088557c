"""Miniatures on their way to a host: how to make their weights instead of the weights, which compress to nothing less.

A random checkpoint of 100 MB is a seed, names and shapes: some kilobytes. :mod:`.weights_recipe` finds them here and
draws the weights again there, the same bytes or none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bundle.weights_recipe import MAKER, RECIPE, RECORD, WEIGHTS
from harness.core.errors import ExitCode, HarnessError
from harness.core.untrusted_files import remove_tree
from harness.miniatures.make import MAKERS
from harness.process.probing import PROBES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.miniatures.make import Maker

SCRIPT = Path(__file__).with_name("weights_recipe.py")


class NoRecipe(HarnessError, RuntimeError):  # noqa: N818 - reads as what happened
    """The recipes of miniatures could not be found; the message says why."""

    exit_code = ExitCode.INFRASTRUCTURE


def described(folders: Mapping[str, Path], into: Path, maker: Maker) -> dict[str, Path]:
    """A folder for each miniature that can travel in its place; made first where it is not there.

    Raises:
        NoRecipe: the process that finds recipes failed.
        UvFailure: its environment could not be built.
    """
    found = {name: into / name for name in folders}
    left = [name for name, folder in found.items() if not _is_of(folder, folders[name])]
    for name in left:
        remove_tree(found[name])
        shutil.copytree(folders[name], found[name], copy_function=_linked)
    if left:
        python = maker.environment(MAKERS[0]).python
        failed = _ran(python, "describe", [found[name] for name in left], {})
        if failed is not None:
            raise NoRecipe(f"the weights of miniatures could not be described: {failed}")
    return found


def make(folders: Sequence[Path], python: str, processes: int, path: Iterable[str]) -> dict[str, str]:
    """Make the weights of every folder that holds a recipe instead; why not, by name, where it did not succeed.

    A folder without weights is removed: nothing shall take it for a checkpoint.

    Args:
        folders: of the miniatures.
        python: an interpreter with torch and safetensors.
        processes: at a time.
        path: package folders beyond the interpreter's own.
    """
    left = [folder for folder in folders if (folder / RECIPE).is_file() and not (folder / WEIGHTS).is_file()]
    shares = [share for number in range(processes) if (share := left[number::processes])]
    variables = {"PYTHONPATH": os.pathsep.join(path)}
    with ThreadPoolExecutor(max(len(shares), 1)) as pool:
        list(pool.map(lambda share: _ran(Path(python), "make", share, variables), shares))
    again = {folder: _ran(Path(python), "make", [folder], variables) for folder in left if not _has_weights(folder)}
    for folder in again:
        if not _has_weights(folder):
            remove_tree(folder)
    return {folder.name: why for folder, why in again.items() if why is not None}


def _has_weights(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file()


def _ran(python: Path, task: str, folders: Sequence[Path], variables: Mapping[str, str]) -> str | None:
    """Run the script; its last words where it failed."""
    environment = {**os.environ, **variables, MAKER: str(PROBES / "miniature")}
    ran = subprocess.run([python, SCRIPT, task, *folders], env=environment, capture_output=True, text=True, check=False)
    return None if ran.returncode == 0 else (ran.stderr.strip().splitlines() or ["no message"])[-1]


def _is_of(folder: Path, miniature: Path) -> bool:
    """Whether the folder describes this miniature."""
    if not (folder / RECIPE).is_file():
        return False
    return (folder / RECORD).read_bytes() == (miniature / RECORD).read_bytes()


def _linked(source: str, target: str) -> None:
    """A hard link where the file system has them; the script replaces files, and never writes into one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

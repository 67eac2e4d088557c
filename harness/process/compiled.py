"""Lending probes the library that tvm_ffi compiles when it is first imported beside a torch it has none for.

A user has it once, in the cache of their home; a probe's home is new each time, and compiling it again takes longer
than everything else the probe does (40 s of a core with lmdeploy 0.11.1, whose tvm_ffi is not bounded). It is made by a
child of its own, which imports torch and tvm_ffi and nothing that is tested, and is kept beside the environment.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from harness.process.redaction import child_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.process.child import Children

BUILDER = "lib/python*/site-packages/tvm_ffi/utils/_build_optional_torch_c_dlpack.py"
"""Environments without this file have nothing to compile."""
KEPT = "harness-compiled"
"""Folder of an environment; there once it is known what it holds, if anything."""
CACHE = Path(".cache/tvm-ffi")
"""Where tvm_ffi looks, below the home."""
LARGEST = 64 * 1024**2
"""Bytes; such a library has 0.2 MB."""
_IMPORT = "import torch, tvm_ffi"


def lend_compiled(children: Children, python: Path, scratch: Path, writable: Sequence[Path] | None) -> None:
    """Put the library into the cache of ``scratch/home``; made first where this environment has not made it yet.

    Args:
        children: what starts the child that makes it.
        python: the environment's interpreter.
        scratch: the probes' scratch folder, with its ``home`` and ``tmp``.
        writable: as for the probes themselves.

    Raises:
        Cancelled: the run is being stopped.
        OSError: it could not be kept.
    """
    environment = python.parent.parent
    if next(environment.glob(BUILDER), None) is None:
        return
    kept = environment / KEPT
    if not kept.is_dir():
        with FileLock(environment.parent / f"{environment.name}.lock"):
            if not kept.is_dir():
                _make(children, python, scratch, kept, writable)
    if any(kept.iterdir()):
        shutil.copytree(kept, scratch / "home" / CACHE)


def _make(children: Children, python: Path, scratch: Path, kept: Path, writable: Sequence[Path] | None) -> None:
    home = scratch / "compiling"
    home.mkdir()
    children.run(
        [str(python), "-I", "-c", _IMPORT],
        environment=child_environment(home=str(home), scratch=str(scratch / "tmp")),
        folder=scratch,
        writable=writable,
    )
    # however that ended: without a library each probe finds out for itself, as it would have
    made = kept.with_suffix(".part")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for file in (home / CACHE).glob("*.so"):
        if file.is_file() and not file.is_symlink() and 0 < file.stat().st_size <= LARGEST:
            shutil.copyfile(file, made / file.name)
    made.rename(kept)

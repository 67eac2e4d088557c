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

from harness.core.untrusted_files import read_untrusted, remove_tree
from harness.process.redaction import child_environment

if TYPE_CHECKING:
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


def lend_compiled(children: Children, python: Path, scratch: Path, home: Path, *, shut_in: bool) -> None:
    """Put the library into the cache of ``home``; made first where this environment has not made it yet.

    Args:
        children: what starts the child that makes it.
        python: the environment's interpreter.
        scratch: the harness's own scratch folder.
        home: the probes' home, which nothing that is tested has seen yet.
        shut_in: whether the child that makes it is to be shut in, as for the probes themselves.

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
                _make(children, python, scratch / "compiling", kept, shut_in=shut_in)
    if any(kept.iterdir()):
        shutil.copytree(kept, home / CACHE)


def _make(children: Children, python: Path, folder: Path, kept: Path, *, shut_in: bool) -> None:
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    children.run(
        [str(python), "-I", "-c", _IMPORT],
        environment=child_environment(home=str(folder / "home"), scratch=str(folder / "tmp")),
        folder=folder,
        writable=[folder] if shut_in else None,
    )
    # however that ended: without a library each probe finds out for itself, as it would have
    made = kept.with_suffix(".part")
    remove_tree(made)
    made.mkdir()
    cache = folder / "home" / CACHE
    for name in (each.name for each in cache.glob("*.so")):
        data = read_untrusted(folder, f"home/{CACHE}/{name}", LARGEST + 1)
        if data and len(data) <= LARGEST:
            (made / name).write_bytes(data)
    made.rename(kept)

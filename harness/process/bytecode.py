"""Compiling what probes had to load from source, so that the next probe of the environment need not.

Probes run in a read-only environment and cannot keep bytecode. Compiling runs nothing of what is compiled: it is done
by the environment's interpreter without its site packages, from the sources alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.core.untrusted_files import read_untrusted
from harness.process.redaction import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.process.child import Children

LIST = "uncompiled.txt"
"""Where probes leave the names of such sources (see ``probes/bytecode.py``)."""
WORTHWHILE = 100
"""Fewer modules than this compile faster than an interpreter starts to do it."""
MOST_BYTES = 4 * 2**20
"""Of the list; that of a whole stack has a tenth of it."""
_COMPILE = """
import py_compile, sys
for name in open(sys.argv[1], encoding="utf-8").read().splitlines():
    try:
        py_compile.compile(name, quiet=2)
    except OSError:
        break
"""


def keep_bytecode(children: Children, python: Path, scratch: Path, written: Path, roots: Iterable[Path]) -> None:
    """Compile the sources that probes listed in ``written``, as far as they are in one of ``roots``.

    ``scratch`` is the harness's own folder.

    Raises:
        Cancelled: the run is being stopped.
    """
    names = set((read_untrusted(written, LIST, MOST_BYTES) or b"").decode(errors="replace").splitlines())
    inside = tuple(f"{os.path.realpath(root)}{os.sep}" for root in roots)
    # the list was written by what is being tested: a name counts only when the file it means is where it should be
    sources = sorted(each for each in names if each.endswith(".py") and os.path.realpath(each).startswith(inside))
    if len(sources) < WORTHWHILE:
        return
    chosen = scratch / "compile.txt"
    chosen.write_text("".join(f"{each}\n" for each in sources), encoding="utf-8")
    children.run(
        [str(python), "-I", "-S", "-c", _COMPILE, str(chosen)],
        environment=child_environment(home=str(scratch), scratch=str(scratch), gpu=False),
        folder=scratch,
    )

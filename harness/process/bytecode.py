"""Compiling what probes had to load from source, so that the next probe of the environment need not.

Probes run in a read-only environment and cannot keep bytecode. Compiling runs nothing of what is compiled: it is done
by the interpreter that the environment was made with, from the sources alone.
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


def keep_bytecode(  # noqa: PLR0913 - what is compiled, by what, and where
    children: Children, interpreter: Path, scratch: Path, written: Path, roots: Iterable[Path], *, shut_in: bool
) -> None:
    """Compile the sources that probes listed, as far as they are in one of ``roots``.

    Args:
        children: what starts the compilers.
        interpreter: the Python that the environment was made with; the environment's own could run what is tested.
        scratch: the harness's own scratch folder.
        written: the folder in which the probes left their list.
        roots: folders whose sources may be compiled, each by a process that can write there alone.
        shut_in: whether that is seen to, as for the probes themselves.

    Raises:
        Cancelled: the run is being stopped.
    """
    listed = (read_untrusted(written, LIST, MOST_BYTES) or b"").decode(errors="replace").splitlines()
    # the list was written by what is being tested: what counts is which file a name means, and where that is
    names = sorted({os.path.realpath(each) for each in listed if each.endswith(".py") and "\0" not in each})
    inside = {root: [each for each in names if each.startswith(f"{os.path.realpath(root)}{os.sep}")] for root in roots}
    if sum(map(len, inside.values())) < WORTHWHILE:
        return
    for root in (each for each in inside if inside[each]):
        chosen = scratch / "compile.txt"
        chosen.write_text("".join(f"{each}\n" for each in inside[root]), encoding="utf-8")
        children.run(
            [str(interpreter), "-I", "-S", "-c", _COMPILE, str(chosen)],
            environment=child_environment(home=str(scratch), scratch=str(scratch), gpu=False),
            folder=scratch,
            writable=[root] if shut_in else None,
            readable=[scratch],
        )

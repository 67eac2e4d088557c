"""Which sources this process had to compile because no bytecode was kept for them.

A probe cannot keep bytecode itself: its environment is read-only, and bytecode written by what is being tested is
nothing to trust. The harness compiles the listed files from their sources (:mod:`harness.process.bytecode`), once.
"""

from __future__ import annotations

import os
import sys

LIST = "uncompiled.txt"


def note(scratch: str) -> None:
    """Append the sources among the loaded modules that lack bytecode to the list in ``scratch``."""
    found = []
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        cached, origin = getattr(spec, "cached", None), getattr(spec, "origin", None)
        if isinstance(cached, str) and isinstance(origin, str) and not os.path.exists(cached):
            found.append(origin)
    if found:
        with open(os.path.join(scratch, LIST), "a", encoding="utf-8") as stream:
            stream.write("".join(f"{each}\n" for each in found))

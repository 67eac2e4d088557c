"""The garbage collector held back while something large is built."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_collection() -> Iterator[None]:
    """Nothing is collected meanwhile.

    A report of ten thousand combinations is millions of objects, all of them needed to the end and none in a cycle:
    looking through them again and again took half of the time. The syntax trees of a scan are of the same kind, a
    quarter of its time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

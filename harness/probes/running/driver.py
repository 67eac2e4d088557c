"""Whether this machine has an NVIDIA driver, and which exceptions say no more than that it has none."""

from __future__ import annotations

import ctypes
from functools import lru_cache

from .exceptions import chain, message_of

DRIVER_LIBRARY = "libcuda.so.1"
REASON = "driver-or-gpu-unavailable"
_SAYS_NO_DRIVER = (
    "Found no NVIDIA driver",
    "0 active drivers",
    "No CUDA GPUs are available",
    "no CUDA-capable device is detected",
    f"{DRIVER_LIBRARY}: cannot open shared object file",
    f"{DRIVER_LIBRARY} cannot found",  # Triton's own words
)


@lru_cache(maxsize=None)
def driver_present() -> bool:
    """Whether the driver's library loads on this machine (needs no package)."""
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def only_the_driver_is_missing(error: BaseException) -> bool:
    """Whether the exception's chain blames the driver on a machine that has none.

    On a machine with a driver the same words are a failure like any other.
    """
    if driver_present():
        return False
    texts = [message_of(link) for link in chain(error)]
    return any(words in text for words in _SAYS_NO_DRIVER for text in texts)

"""What depends on the system that the harness is on: Linux runs combinations, every system can read."""

from __future__ import annotations

import platform
import sys

import psutil

from harness.core.errors import HarnessError

if sys.platform != "win32":
    import resource


class NeedsLinux(HarnessError):  # noqa: N818 - says what is wanted
    """Combinations are run on Linux only."""


def require_linux() -> None:
    """See to it that combinations can be run here.

    Raises:
        NeedsLinux: they cannot.
    """
    if sys.platform != "linux":
        raise NeedsLinux(
            f"running combinations needs Linux, or WSL2 on Windows; this is {platform.system()}, "
            "where explain, scan, why-not, suggest, symbol, plan, gate --dry-run and report work"
        )


def peak_memory_mib() -> int:
    """The most memory this process had."""
    if sys.platform == "win32":
        used = psutil.Process().memory_info()
        return int(getattr(used, "peak_wset", used.rss)) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**10 if sys.platform == "linux" else 2**20)

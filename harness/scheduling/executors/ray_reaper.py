"""Ends the Ray that a harness started for itself once that harness is gone, ``kill -9`` included.

``python ray_reaper.py FOLDER`` with a pipe for its input, of which only the harness has the other end: the system
closes it, however the harness ends. Ray's own processes look for their driver too, and some of them for minutes.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress

import psutil


def main(folder: str) -> None:
    """Wait for the end of the input, then end every process whose command line names the folder, and delete it."""
    sys.stdin.buffer.read()
    left = [each for each in psutil.process_iter() if each.pid != psutil.Process().pid and names(each, folder)]
    left += [below for each in left for below in _below(each)]
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, timeout=10)
    shutil.rmtree(folder, ignore_errors=True)


def names(process: psutil.Process, folder: str) -> bool:
    """Whether a process's command line names the folder."""
    with suppress(psutil.Error):
        return any(folder in word for word in process.cmdline())
    return False


def _below(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


if __name__ == "__main__":
    main(sys.argv[1])

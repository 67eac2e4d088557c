"""The log that ``explain`` reads: a file, or whatever comes through a pipe, with an end to waiting and to taking."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from harness.core.errors import HarnessError
from harness.core.files import NOT_WAITING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import WriteableBuffer

IDLE = 60.0
"""Seconds without a byte after which nobody waits for a pipe any more."""
MOST = 16 * 2**30
"""Bytes of a pipe that are read: more than any log that somebody wants explained."""


class NoLog(HarnessError):  # noqa: N818 - says what is the matter
    """What was given cannot be read as a log; the message says why."""


class _Pipe(io.RawIOBase):
    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name, self._read = descriptor, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._read >= MOST:
            raise NoLog(f"{self._name} gave more than {MOST // 2**30} GiB without an end; give a part of it")
        # Windows waits for sockets only
        if sys.platform != "win32" and not select.select([self._descriptor], [], [], IDLE)[0]:
            raise NoLog(f"nothing came from {self._name} for {IDLE:.0f} s")
        view = memoryview(buffer).cast("B")
        data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        self._read += len(data)
        return len(data)


@contextmanager
def log_source(path: Path) -> Iterator[BinaryIO]:
    """The log at ``path``; ``-`` is standard input.

    Raises:
        NoLog: there is none.
        OSError: it cannot be opened.
    """
    if str(path) == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise NoLog("standard input is closed; give the path of a log")
        try:
            source: BinaryIO = io.BufferedReader(_Pipe(sys.stdin.fileno(), "standard input"))
        except io.UnsupportedOperation:  # a text in memory stands in for it
            source = sys.stdin.buffer
        yield source
        return
    descriptor = os.open(path, NOT_WAITING)
    with os.fdopen(descriptor, "rb") as file:
        ordinary = stat.S_ISREG(os.fstat(descriptor).st_mode)
        yield file if ordinary else io.BufferedReader(_Pipe(descriptor, str(path)))

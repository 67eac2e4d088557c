"""Scratch space that does not outlive its process: one folder for each process, swept by whoever comes next.

Such a folder stands beside a lock file that its process holds for as long as it lives. The system gives the lock back
when the process dies, ``kill -9`` included, so a folder whose lock can be had belongs to nobody and is removed. Process
numbers would not do: they are used again, and mean something else in a container. On Windows, where nothing runs that
would be killed, a folder is removed by its own process alone.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.untrusted_files import remove_tree

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFIX = "room-"
_LOCK = ".held"


@dataclass(frozen=True, slots=True)
class _Owned:
    folder: Path
    lock: int
    """Open file; the lock goes with it."""
    process: int
    """A forked copy of the process has folders of its own."""


_own: dict[Path, _Owned] = {}
_guard = threading.Lock()


def own_folder(parent: Path) -> Path:
    """This process's own folder in ``parent``; on first use it is made, and those of the dead are removed.

    Raises:
        OSError: it cannot be made.
    """
    with _guard:
        known = _own.get(parent)
        if known is not None and known.process == os.getpid() and known.folder.is_dir():
            return known.folder
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        if not any(each.process == os.getpid() for each in _own.values()):
            atexit.register(leave)
        _own[parent] = _make(parent)
        return _own[parent].folder


def leave() -> None:
    """Remove this process's folders."""
    with _guard:
        for parent, own in list(_own.items()):
            del _own[parent]
            if own.process == os.getpid():
                _clear(own.folder, own.lock)


def sweep(parent: Path) -> None:
    """Remove what processes left in ``parent`` that are no more."""
    for folder in _folders(parent):
        lock = _take(folder)
        if lock is not None:
            _clear(folder, lock)


def occupied(parent: Path) -> bool:
    """Whether another living process has a folder in ``parent``."""
    own = {each.folder for each in _own.values() if each.process == os.getpid()}
    for folder in _folders(parent):
        if folder in own:
            continue
        lock = _take(folder)
        if lock is None:
            return True
        os.close(lock)
    return False


def _make(parent: Path) -> _Owned:
    while True:
        folder = parent / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
        mark = _mark(folder)
        lock = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(BlockingIOError):
            _lock(lock)
            if mark.exists():
                folder.mkdir()
                return _Owned(folder, lock, os.getpid())
        os.close(lock)  # somebody swept in this very moment and took it for a dead one's


def _take(folder: Path) -> int | None:
    """The open lock of a folder that nobody else holds."""
    if sys.platform == "win32":
        return None
    try:
        lock = os.open(_mark(folder), os.O_RDWR)
    except OSError:
        return None  # just swept by another, or another user's
    with suppress(BlockingIOError):
        _lock(lock)
        return lock
    os.close(lock)
    return None


def _lock(file: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _clear(folder: Path, lock: int) -> None:
    """The mark goes last, so that a sweep that is killed halfway is finished by the next."""
    if sys.platform == "win32":
        os.close(lock)  # an open file cannot be removed there
    with suppress(OSError):  # the next sweep tries again
        remove_tree(folder)
        _mark(folder).unlink(missing_ok=True)
    if sys.platform != "win32":
        os.close(lock)


def _mark(folder: Path) -> Path:
    return folder.with_suffix(_LOCK)


def _folders(parent: Path) -> Iterator[Path]:
    """Every folder in ``parent`` that has a mark."""
    for mark in parent.glob(f"{_PREFIX}*{_LOCK}") if parent.is_dir() else ():
        yield mark.with_suffix("")

"""Files and folders that something untrusted could write: read and removed without following links.

A child can put anything at any path it may write: links, pipes, folders nested thousands deep or closed to everybody.
Children run on Linux only; elsewhere there is nothing but files of the harness's own.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HERE = sys.platform == "linux"
if _HERE:
    _READ = os.O_RDONLY | os.O_NOFOLLOW
    _FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW


def read_untrusted(folder: Path, name: str, most: int) -> bytes | None:
    """The first ``most`` bytes of the file ``name`` below ``folder``.

    None where that is no ordinary file, or where a component of ``name`` is a link.
    """
    *parents, last = PurePosixPath(name).parts
    with suppress(OSError):
        place = os.open(folder, _FOLDER)
        try:
            for each in parents:
                below = os.open(each, _FOLDER, dir_fd=place)
                os.close(place)
                place = below
            return _read_in(place, last, most)
        finally:
            os.close(place)
    return None


def _read_in(place: int, name: str, most: int) -> bytes | None:
    """The first ``most`` bytes of an ordinary file in an open folder; None where it is none.

    Raises:
        OSError: it cannot be opened.
    """
    # a pipe would block whoever opens it
    file = os.open(name, _READ | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=place)
    with os.fdopen(file, "rb") as stream:
        return stream.read(most) if stat.S_ISREG(os.fstat(file).st_mode) else None


class UnexpectedFiles(ValueError):  # noqa: N818 - says what is there
    """What something untrusted left is not what it was to leave; the message says what it left."""


def take_files(folder: Path, most: int) -> dict[str, bytes]:
    """The files in a folder that holds nothing else, by name.

    Raises:
        UnexpectedFiles: it is no folder, holds a link, a folder or a pipe, or more than ``most`` bytes.
    """
    found: dict[str, bytes] = {}
    try:
        place = os.open(folder, _FOLDER)
    except OSError as error:
        raise UnexpectedFiles(f"no folder {folder.name}") from error
    try:
        for name in sorted(os.listdir(place)):  # noqa: PTH208 - of this folder, whatever its name means now
            data = None
            with suppress(OSError):
                data = _read_in(place, name, most + 1)
            if data is None:
                raise UnexpectedFiles(f"{name}, which is no ordinary file")
            most -= len(data)
            if most < 0:
                raise UnexpectedFiles("more than it should")
            found[name] = data
    finally:
        os.close(place)
    return found


def remove_tree(path: Path) -> None:
    """Remove ``path`` with all that is in it, whatever its depth and modes; nothing need be there.

    Raises:
        OSError: something is left; everything that could go is gone.
    """
    if not _HERE:
        if path.exists():
            shutil.rmtree(path)
        return
    with suppress(FileNotFoundError):
        removal = _Removal(os.open(path.parent, os.O_DIRECTORY))
        try:
            removal.remove(path.name)
        finally:
            os.close(removal.here)


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder that is there for as long as the context lasts, whatever is put into it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        remove_tree(folder)


@dataclass(slots=True)
class _Level:
    """A folder that is being emptied."""

    name: str
    above: tuple[int, int]
    """Device and number of the folder it is in: the way back up is checked, since the tree could be moved meanwhile."""
    waiting: list[str] = field(default_factory=list)
    """Folders in it that are still to be removed."""


@dataclass(slots=True)
class _Removal:
    """One walk through a tree with a single open folder: neither stack nor open files grow with the depth."""

    here: int
    """The open folder."""
    trouble: OSError | None = None

    def remove(self, name: str) -> None:
        """Remove what is called so here."""
        if not stat.S_ISDIR(os.lstat(name, dir_fd=self.here).st_mode):
            os.unlink(name, dir_fd=self.here)
            return
        levels: list[_Level] = []
        self._enter(name, levels)
        while levels:
            if levels[-1].waiting:
                self._enter(levels[-1].waiting.pop(), levels)
            else:
                self._leave(levels.pop())
        if self.trouble is not None:
            raise self.trouble

    def _enter(self, name: str, levels: list[_Level]) -> None:
        """Go down into a folder and remove its files."""
        level = _Level(name, _identity(self.here))
        try:
            self._go(_opened(name, self.here))
            levels.append(level)
            with os.scandir(self.here) as entries:
                found = list(entries)
        except OSError as error:
            self.trouble = self.trouble or error
            return
        for each in found:
            if each.is_dir(follow_symlinks=False):
                level.waiting.append(each.name)
            else:
                self._attempt(os.unlink, each.name)

    def _leave(self, level: _Level) -> None:
        """Go up again and remove the folder that was left."""
        self._go(os.open("..", _FOLDER, dir_fd=self.here))
        if _identity(self.here) != level.above:
            raise OSError(f"{level.name} was moved while it was being removed")
        self._attempt(os.rmdir, level.name)

    def _go(self, folder: int) -> None:
        os.close(self.here)
        self.here = folder

    def _attempt(self, call: Callable[..., None], name: str) -> None:
        try:
            call(name, dir_fd=self.here)
        except OSError as error:
            self.trouble = self.trouble or error


def _opened(name: str, parent: int) -> int:
    """The folder, open, with its owner's rights given back."""
    place = os.open(name, os.O_PATH | _FOLDER, dir_fd=parent)
    try:
        if os.fstat(place).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{place}", stat.S_IRWXU)  # noqa: PTH101 - this folder, whatever its name means now
        return os.open(".", _FOLDER, dir_fd=place)
    finally:
        os.close(place)


def _identity(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino

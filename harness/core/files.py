"""Files that are whole or absent: atomic writes, tolerant reads, and hashes of what answers depend on."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Misshapen(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the file
    """A file is not what it should be; the message says which file, and what is wrong with it."""


LARGEST_JSON = 256 * 2**20
"""Bytes of a file of the harness's own; a map of thousands of stacks has some millions."""
_DIGITS = 19
"""Of a whole number: as many as a counter of the machine's has."""


def write_atomically(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace ``path`` by ``text`` in one step: a reader, or a crash, sees the old content or the new.

    Args:
        path: the file; its folder is made.
        text: the whole new content.
        durable: wait until the disk has it, under its name.

    Raises:
        OSError: it cannot be written; the old content is still there.
    """
    made = make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(name, 0o644)  # noqa: PTH101 - mkstemp made it private, results are for reading
        os.replace(name, path)  # noqa: PTH105 - the name is a string already
        if durable:
            sync_folders(path.parent, made)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108 - as above
        raise


NOT_WAITING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened that may be a pipe or a device, which Windows has otherwise."""


def make_folder(folder: Path) -> int:
    """Make a folder and those above it; how many of them were not there."""
    missing = 0
    for each in (folder, *folder.parents):
        if each.is_dir():
            break
        missing += 1
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def sync_folders(folder: Path, made: int = 0) -> None:
    """Wait until the disk has the names in ``folder``, and those of the ``made`` folders that lead to it.

    Windows opens no folders, so it is not waited for there.
    """
    if sys.platform == "win32":
        return
    for each in (folder, *folder.parents)[: made + 1]:
        descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Wait until the disk has everything of the file system that ``folder`` is on.

    One call for tens of thousands of files, which one by one take longer than to install them.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def open_ordinary(path: Path) -> BinaryIO:
    """An ordinary file, open for reading.

    Raises:
        Misshapen: it is none (a device, a pipe).
        OSError: it cannot be opened.
    """
    file = os.fdopen(os.open(path, NOT_WAITING), "rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise Misshapen(f"{path} is no ordinary file")


def read_bounded(path: Path, most: int) -> bytes:
    """The content of an ordinary file.

    Raises:
        Misshapen: it is none (a device, a pipe), or has more than ``most`` bytes.
        OSError: it cannot be read.
    """
    with open_ordinary(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise Misshapen(f"{path} is larger than {most:,} bytes")
    return content


def read_text(path: Path) -> str:
    """The text in an ordinary file.

    Raises:
        Misshapen: it is none, or no UTF-8.
        OSError: it cannot be read.
    """
    try:
        return read_bounded(path, LARGEST_JSON).decode()
    except UnicodeDecodeError as error:
        raise Misshapen(f"{path} cannot be read: {error}") from error


@contextmanager
def shaped(path: Path, kind: type[HarnessError] = Misshapen) -> Iterator[None]:
    """Turn what a reader stumbles over in somebody else's file into one line.

    For the code that goes through a file's content, whose values can be of any type and any size.

    Raises:
        HarnessError: of that kind.
    """
    try:
        yield
    except HarnessError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        why = str(error).partition("\n")[0][:200]
        raise kind(f"{path} does not have the form that it should ({type(error).__name__}: {why})") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file of the harness's own, or None when it is not there or not whole.

    Such files can always be made again, so a damaged one counts as absent, and one with numbers that are none.
    """
    try:
        content = json.loads(
            read_bounded(path, LARGEST_JSON), parse_constant=_finite, parse_float=_finite, parse_int=_countable
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _countable(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def digest(value: object) -> str:
    """Hash of a tree of JSON (tuples count as lists), 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def digest_of_files(root: Path, files: Iterable[Path]) -> str:
    """Hash of files' names below ``root`` and their contents; the order given does not matter."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(str(file.relative_to(root)).encode() + b"\0")
        with file.open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()[:32]

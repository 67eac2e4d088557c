"""Reading what a host's run packed: the records, and nothing that belongs outside a reports folder."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from typing import TYPE_CHECKING, BinaryIO

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

_GZIP = b"\x1f\x8b"
KEPT = re.compile(r"logs/[0-9a-f]{8,64}\.log|locks/[0-9a-f]{16}/pylock\.toml")
MAX_BYTES = 1024 * 2**20
"""What an archive may unpack to, wanted or not: results that are larger are not of our making."""
MAX_MEMBERS = 100_000
"""The same for its members: each takes memory, even an empty one."""


class NotResults(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the file
    """The file is no bundle's results; the message says why."""


class _Bounded(io.RawIOBase):
    """A stream that ends with a complaint before it fills the memory, whatever the headers in it claim."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_BYTES

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes."""
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise NotResults(f"the archive unpacks to more than {MAX_BYTES / 2**20:.0f} MiB; those are no results")
        buffer[: len(data)] = data
        return len(data)


def read_archive(archive_path: Path) -> dict[str, bytes]:
    """The records, locks and logs in the results of a bundle, by name.

    Raises:
        NotResults: the file is no archive, or lacks the records.
    """
    try:
        with archive_path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            plain = gzip.GzipFile(fileobj=file) if packed else file
            with tarfile.open(fileobj=io.BufferedReader(_Bounded(plain)), mode="r|") as archive:
                files = _files(archive)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, NotResults):
            raise
        raise NotResults(f"{archive_path} cannot be read as the results of a bundle: {error}") from error
    if "results.jsonl" not in files:
        raise NotResults(
            f"{archive_path} holds no results.jsonl; give the results.tar.gz that the run on the host wrote"
        )
    return files


def _files(archive: tarfile.TarFile) -> dict[str, bytes]:
    """What is wanted of the archive."""
    files: dict[str, bytes] = {}
    for number, item in enumerate(archive):
        if number >= MAX_MEMBERS:
            raise NotResults(f"the archive has more than {MAX_MEMBERS} members; those are no results")
        # a sparse file would grow in memory to whatever size it claims
        if item.isreg() and not item.issparse() and (item.name == "results.jsonl" or KEPT.fullmatch(item.name)):
            stream = archive.extractfile(item)
            files[item.name] = stream.read() if stream is not None else b""
    return files

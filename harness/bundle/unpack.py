"""Join, check and start a bundle: ``python3 unpack.py [--into FOLDER] [-- arguments of the run]``.

Stands beside the parts and needs Python 3.11 or newer and nothing else. The parts are checked against ``SHA256SUMS``
before anything is unpacked, and unpacked once.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FINISHED = ".unpacked"
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)
"""What a damaged archive makes the standard library raise."""


class Parts(io.RawIOBase):
    """The parts as one stream."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = list(paths)
        self._open: io.BufferedReader | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from wherever the stream stands."""
        while True:
            if self._open is None:
                if not self._paths:
                    return 0
                self._open = self._paths.pop(0).open("rb")
            count = self._open.readinto(buffer)
            if count:
                return count
            self._open.close()
            self._open = None


def check(folder: Path) -> list[Path]:
    """The parts in order, each with the right sum; ends the program otherwise."""
    parts: list[Path] = []
    try:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"unpack.py: SHA256SUMS has to stand beside this script: {error}")
    if not lines:
        sys.exit("unpack.py: SHA256SUMS is empty; copy it again")
    for line in lines:
        wanted, _, name = line.partition("  ")
        path = folder / Path(name).name
        if not path.is_file():
            sys.exit(f"unpack.py: {path.name} is missing; copy all {len(lines)} parts into {folder}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
                sys.exit(f"unpack.py: {path.name} is damaged (its sum is not the one in SHA256SUMS); copy it again")
        parts.append(path)
    return parts


def unpack(parts: list[Path], folder: Path) -> None:
    """Lay the bundle out in ``folder``; a member that would land outside, or not fit on the disk, is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BufferedReader(Parts(parts)), mode="r|*") as archive:
            archive.extractall(folder, members=_whole_files(archive, folder), filter="data")
        for kind in ("runtime", "lent"):
            for wheel in sorted((folder / f"{kind}-wheels").glob("*.whl")):
                with zipfile.ZipFile(wheel) as content:
                    _demand_room(folder, sum(item.file_size for item in content.infolist()), wheel.name)
                    content.extractall(folder / kind)  # noqa: S202 - zipfile keeps members inside
        (folder / FINISHED).touch()
    except _BROKEN as error:
        sys.exit(f"unpack.py: the bundle cannot be unpacked: {error}")


def _whole_files(archive: tarfile.TarFile, folder: Path) -> Iterator[tarfile.TarInfo]:
    """The members, each only if it fits: a few bytes of header can claim any size."""
    for item in archive:
        if not (item.isdir() or (item.isreg() and not item.issparse())):
            raise tarfile.TarError(
                f"{item.name} is neither a file nor a folder; this is not what 'lmdeploy-harness bundle' wrote"
            )
        _demand_room(folder, item.size, item.name)
        yield item


def _demand_room(folder: Path, size: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(f"{name} needs {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free in {folder}")


def main() -> None:
    """Check, unpack and become the harness."""
    parser = argparse.ArgumentParser(description="Unpack a bundle of the compatibility harness and run it.")
    here = Path(__file__).resolve().parent
    parser.add_argument("--into", type=Path, default=here / "bundle", help="where to unpack [default: bundle/]")
    parser.add_argument("arguments", nargs="*", help="what the run is given; -- --help tells")
    chosen = parser.parse_args()
    folder = chosen.into.resolve()
    if not (folder / FINISHED).exists():
        unpack(check(here), folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "source"), str(folder / "runtime")])}
    command = [sys.executable, "-m", "harness.cli.bundle_host", str(folder), *chosen.arguments]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main()

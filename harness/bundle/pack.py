"""Writing a bundle: one tar stream in parts of a chosen size, checksums, and the script that joins them.

A wheel is compressed file by file, so that what two of them share travels twice. With ``compress`` wheels are laid
into the stream as they are inside, and the stream as a whole is compressed: versions of one package cost little.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import harness
from harness.bundle.cuda_code import LIBRARY, blank_other_cards
from harness.bundle.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.bundle.manifest import Manifest

SOURCE = Path(harness.__file__).parent
SUMS = "SHA256SUMS"
UNPACK = "unpack.py"
COMPRESSION = ({"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 128 * 2**20},)
"""Wide and shallow: 7 MB/s a core. A CUDA library of 352 MB becomes 41 MB, and 36 MB with 3.6 times the work."""


class PartWriter(io.RawIOBase):
    """A write-only stream that begins a new file whenever one is full."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._room = 0
        self._file: io.BufferedWriter | None = None
        self.parts: list[Path] = []

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write all of it, over as many parts as it takes."""
        view = memoryview(data)
        while view:
            if self._room == 0:
                self._begin()
            assert self._file is not None  # noqa: S101 - _begin opened it
            count = self._file.write(view[: self._room])
            self._room -= count
            view = view[count:]
        return len(data)

    def close(self) -> None:
        """Close the last part."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _begin(self) -> None:
        if self._file is not None:
            self._file.close()
        path = self._folder / f"bundle.tar.{len(self.parts):03d}"
        self.parts.append(path)
        self._file = path.open("wb")
        self._room = self._size


def write_bundle(  # noqa: PLR0913 - one keyword for each thing that travels
    out: Path,
    manifest: Manifest,
    *,
    wheels: Mapping[str, Path],
    lent: Iterable[Path],
    runtime: Iterable[Path],
    locks: Mapping[str, str],
    files: Mapping[str, Path],
    part_bytes: int,
    compress: bool = False,
) -> list[Path]:
    """Write the bundle's parts into ``out`` and return them.

    Args:
        out: a folder; files of an earlier bundle in it are replaced.
        manifest: what the bundle holds.
        wheels: the stacks' wheels, by file name.
        lent: wheels laid out once for all stacks.
        runtime: wheels of the harness's own dependencies.
        locks: the stacks' locks, by name.
        files: of models and checkpoints, by their path in the bundle.
        part_bytes: size of a part at most.
        compress: make the stream small, which takes minutes for gigabytes.

    Raises:
        OSError: a file cannot be read or written.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("bundle.tar.*"):
        old.unlink()
    writer = PartWriter(out, part_bytes)
    trimmed = {name: files for stack in manifest.stacks.values() for name, files in stack.trimmed.items()}
    with writer, _stream(writer, compress=compress) as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
        _add(archive, MANIFEST, manifest.model_dump_json(indent=1).encode())
        for name, text in locks.items():
            _add(archive, f"locks/{name}/pylock.toml", text.encode())
        for path in sorted(SOURCE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.add(path, f"source/harness/{path.relative_to(SOURCE)}", filter=_plain)
        for name, path in sorted(files.items()):
            archive.add(path, name, filter=_plain)
        travelling = [
            (f"{folder}-wheels", path) for folder, paths in (("runtime", runtime), ("lent", lent)) for path in paths
        ]
        travelling += [("wheels", path) for _, path in sorted(wheels.items())]
        for folder, path in travelling:
            left_out = trimmed.get(path.name, []) if folder == "wheels" else []
            _add_wheel(archive, f"{folder}/{path.name}", path, left_out, stored=compress, card=manifest.card)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in writer.parts]
    (out / SUMS).write_text("\n".join(sums) + "\n")
    shutil.copy(Path(__file__).with_name(UNPACK), out / UNPACK)
    return writer.parts


def rewrite(
    wheel: Path, target: IO[bytes], *, left_out: Iterable[str] = (), stored: bool = False, card: int | None = None
) -> None:
    """Write the wheel without those files, its RECORD in keeping.

    Args:
        wheel: the file.
        target: where to.
        left_out: names of files that are left out.
        stored: leave the files uncompressed.
        card: leave out machine code that a card of that capability (90 for 9.0) cannot run.
    """
    missing = set(left_out)
    changed: dict[str, str] = {}
    compression = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", compression) as made:
        record = next(name for name in source.namelist() if name.endswith(".dist-info/RECORD"))
        for item in source.infolist():
            if item.filename in missing or item.filename == record:
                continue
            with source.open(item) as content, made.open(_same(item, compression), "w") as copy:
                if card is None or not LIBRARY.search(item.filename):
                    shutil.copyfileobj(content, copy, 1 << 20)
                    continue
                library = bytearray(content.read())
                if blank_other_cards(library, card):
                    changed[item.filename] = _hash(library)
                copy.write(library)
        rows = [row for row in csv.reader(source.read(record).decode().splitlines()) if row and row[0] not in missing]
        rows = [[row[0], changed[row[0]], *row[2:]] if row[0] in changed else row for row in rows]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        made.writestr(_same(source.getinfo(record), compression), text.getvalue())


def _hash(data: bytes | bytearray) -> str:
    """As RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _same(item: zipfile.ZipInfo, compression: int) -> zipfile.ZipInfo:
    """The entry of the same file in another archive: name, time and mode."""
    made = zipfile.ZipInfo(item.filename, item.date_time)
    made.compress_type, made.external_attr = compression, item.external_attr
    made.file_size = item.file_size  # decides whether the entry needs the format for large files
    return made


@contextmanager
def _stream(writer: PartWriter, *, compress: bool) -> Iterator[IO[bytes]]:
    if not compress:
        yield writer  # type: ignore[misc] # a raw stream has all that tarfile asks of one
        return
    with lzma.LZMAFile(writer, "w", filters=COMPRESSION) as stream:  # type: ignore[arg-type] # it only writes
        yield stream


def _add_wheel(  # noqa: PLR0913 - what becomes of a wheel
    archive: tarfile.TarFile, name: str, path: Path, left_out: Iterable[str], *, stored: bool, card: int | None
) -> None:
    if not left_out and not stored and card is None:
        archive.add(path, name, filter=_plain)
        return
    with tempfile.TemporaryFile() as made:
        rewrite(path, made, left_out=left_out, stored=stored, card=card)
        item = tarfile.TarInfo(name)
        item.size = made.tell()
        item.mode = 0o644
        made.seek(0)
        archive.addfile(item, made)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    item = tarfile.TarInfo(name)
    item.size = len(data)
    item.mode = 0o644
    archive.addfile(item, io.BytesIO(data))


def _plain(item: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the packer's user, group and clock."""
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    item.mtime = 0
    return item

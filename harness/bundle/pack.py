"""Writing a bundle: one tar stream in parts of a chosen size, checksums, and the script that joins them."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import harness
from harness.bundle.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.bundle.manifest import Manifest

SOURCE = Path(harness.__file__).parent
SUMS = "SHA256SUMS"


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
    model_files: Mapping[str, Path],
    part_bytes: int,
) -> list[Path]:
    """Write the bundle's parts into ``out`` and return them.

    Args:
        out: a folder; files of an earlier bundle in it are replaced.
        manifest: what the bundle holds.
        wheels: the stacks' wheels, by file name.
        lent: wheels laid out once for all stacks.
        runtime: wheels of the harness's own dependencies.
        locks: the stacks' locks, by name.
        model_files: files under ``models/``, by their path there.
        part_bytes: size of a part at most.

    Raises:
        OSError: a file cannot be read or written.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("bundle.tar.*"):
        old.unlink()
    writer = PartWriter(out, part_bytes)
    trimmed = {name: files for stack in manifest.stacks.values() for name, files in stack.trimmed.items()}
    with writer, tarfile.open(fileobj=writer, mode="w|") as archive:
        _add(archive, MANIFEST, manifest.model_dump_json(indent=1).encode())
        for name, text in locks.items():
            _add(archive, f"locks/{name}/pylock.toml", text.encode())
        for path in sorted(SOURCE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.add(path, f"source/harness/{path.relative_to(SOURCE)}", filter=_plain)
        for name, path in sorted(model_files.items()):
            archive.add(path, f"models/{name}", filter=_plain)
        for folder, paths in (("runtime", runtime), ("lent", lent)):
            for path in paths:
                archive.add(path, f"{folder}-wheels/{path.name}", filter=_plain)
        for name, path in sorted(wheels.items()):
            if trimmed.get(name):
                _add(archive, f"wheels/{name}", trim(path, trimmed[name]))
            else:
                archive.add(path, f"wheels/{name}", filter=_plain)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in writer.parts]
    (out / SUMS).write_text("\n".join(sums) + "\n")
    shutil.copy(Path(__file__).with_name("unpack.py"), out / "unpack.py")
    return writer.parts


def trim(wheel: Path, files: Iterable[str]) -> bytes:
    """The wheel without those files, its RECORD in keeping."""
    left_out = set(files)
    made = io.BytesIO()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        record = next(name for name in source.namelist() if name.endswith(".dist-info/RECORD"))
        for item in source.infolist():
            if item.filename not in left_out and item.filename != record:
                target.writestr(item, source.read(item))
        rows = [row for row in csv.reader(source.read(record).decode().splitlines()) if row and row[0] not in left_out]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        target.writestr(record, text.getvalue())
    return made.getvalue()


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

"""Taking over the records of other machines: each source in a folder of its own, so that nothing here is overwritten.

A source is the results of a bundle, a reports folder (a shard's, another machine's), a ``results.jsonl``, or a report's
``report.json``. Every record must be whole and agree with itself and with its lock; one that does not is refused with
its line, and then nothing of that source is taken.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness import __version__
from harness.bundle.kept_manifests import packed_locks
from harness.bundle.merge import KEPT, NotResults, read_archive
from harness.core.files import read_json, write_atomically
from harness.core.records import Record
from harness.environments.lock import InvalidLock, Lock
from harness.evidence.soundness import flaw
from harness.evidence.sources import IMPORTED, LOCK
from harness.report.read_back import records_of
from harness.results.store import RECORD_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ORIGIN = "origin.json"
REPORT = "report.json"
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_BYTES = 1024 * 2**20


@dataclass(frozen=True, slots=True)
class Arrived:
    """A source that was taken over."""

    folder: Path
    records: int
    known: bool
    """It was here already, byte for byte."""


def take(path: Path, reports: Path, state: Path, name: str | None = None) -> Arrived:
    """Keep the source's records in ``imported/`` of the reports folder, with its locks and logs.

    Args:
        path: the source.
        reports: the reports folder.
        state: where the manifests of bundles are kept that were packed here.
        name: of the folder; None: after the source.

    Raises:
        NotResults: it cannot be read, or a record of it is damaged or forged; the message says which line.
        OSError: the reports folder cannot be written.
    """
    files = _read(path)
    digest = hashlib.sha256(files[RECORD_FILE]).hexdigest()
    parent = reports / IMPORTED
    for each in sorted(parent.glob(f"*/{ORIGIN}")):
        if (read_json(each) or {}).get("digest") == digest:
            return Arrived(each.parent, len(files[RECORD_FILE].splitlines()), known=True)
    records = _checked(path, files, packed_locks(state))
    stem = _UNNAMEABLE.sub("-", name or path.name.partition(".")[0] or path.parent.name).strip("-.")
    folder = parent / ((name and stem) or f"{stem or 'records'}-{digest[:8]}")
    if folder.exists():
        raise NotResults(f"{folder} is there already, with other records; give another --name, or remove it")
    building = parent / f".{folder.name}.new"
    shutil.rmtree(building, ignore_errors=True)
    for file, data in files.items():
        if file == RECORD_FILE or KEPT.fullmatch(file):
            write_atomically(building / file, data.decode("utf-8", "replace"), durable=file == RECORD_FILE)
    write_atomically(building / ORIGIN, json.dumps(_origin(path, digest, records), indent=1) + "\n")
    building.rename(folder)
    return Arrived(folder, len(records), known=False)


def records_in(path: Path) -> list[Record]:
    """The sound records of a source, taken nowhere.

    Raises:
        NotResults: it cannot be read, or a record of it is damaged or forged.
    """
    return _checked(path, _read(path), {})


def _origin(path: Path, digest: str, records: list[Record]) -> dict[str, object]:
    """Where the records come from, beside what each says of its own machine and run."""
    return {
        "source": path.name,
        "digest": digest,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": __version__,
        "records": len(records),
        "harness": sorted({each.harness for each in records}),
        "runs": sorted({each.run for each in records if each.run}),
        "machines": sorted({f"{each.machine.os}, {', '.join(each.machine.gpus) or 'no GPU'}" for each in records}),
        "first": min(each.started for each in records).isoformat(),
        "last": max(each.finished for each in records).isoformat(),
    }


def _read(path: Path) -> dict[str, bytes]:
    """The records, locks and logs, by their names in a reports folder."""
    if path.is_dir():
        return _folder(path)
    if path.stat().st_size > _MOST_BYTES:
        raise NotResults(f"{path} is larger than {_MOST_BYTES >> 20} MiB; those are no results")
    if path.suffix == ".jsonl":
        return _folder(path.parent, path)
    if path.suffix == ".json":
        return {RECORD_FILE: "".join(f"{each.model_dump_json()}\n" for each in records_of(path)).encode()}
    return read_archive(path)


def _folder(folder: Path, file: Path | None = None) -> dict[str, bytes]:
    file = file or folder / RECORD_FILE
    if not file.is_file():
        raise NotResults(f"{folder} holds no {RECORD_FILE}; give a reports folder, or the file itself")
    found = {RECORD_FILE: file.read_bytes()}
    for each in sorted([*folder.glob(f"locks/*/{LOCK}"), *folder.glob("logs/*.log")]):
        name = each.relative_to(folder).as_posix()
        if KEPT.fullmatch(name) and each.is_file() and not each.is_symlink():
            found[name] = each.read_bytes()
    return found


def _checked(path: Path, files: Mapping[str, bytes], packed: Mapping[str, set[str]]) -> list[Record]:
    """The records, every one of them sound."""
    locks = {name.split("/")[1]: _lock(path, name, data) for name, data in files.items() if name.endswith(LOCK)}
    found: list[Record] = []
    for number, line in enumerate(files[RECORD_FILE].split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise NotResults(f"{path}: line {number} of {RECORD_FILE} is not a record: {problem}") from error
        wrong = flaw(record, locks.get(record.lock or ""))
        if not wrong and record.id in packed and record.lock not in packed[record.id]:
            wrong = f"it was packed here with the lock {' or '.join(sorted(packed[record.id]))}, not {record.lock}"
        if wrong:
            raise NotResults(f"{path}: line {number} of {RECORD_FILE} cannot be true: {wrong}; nothing was taken")
        found.append(record)
    if not found:
        raise NotResults(f"{path} holds no records")
    return found


def _lock(path: Path, name: str, data: bytes) -> Lock:
    lock = Lock(data.decode("utf-8", "replace"))
    try:
        whole = lock.name == name.split("/")[1] and bool(lock.stack)
    except InvalidLock:
        whole = False
    if not whole:
        raise NotResults(f"{path}: {name} is not the lock that its name stands for; nothing was taken")
    return lock

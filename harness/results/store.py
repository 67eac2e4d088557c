"""The record file: append-only JSON lines, whole or absent, written as results come.

One line is one attempt at one combination. Nothing is ever changed or removed; the latest line of an id is what is
known of it. A line torn by a crash is left where it is, told about once, and read over.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from filelock import FileLock
from pydantic import ValidationError

from harness.core.files import make_folder, open_ordinary, sync_folders, write_atomically
from harness.core.records import Record
from harness.core.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

RECORD_FILE = "results.jsonl"
SCHEMA_FILE = "record.schema.json"
_MOST_ATTEMPTS = 10**9
"""A larger number is no count."""


@dataclass(frozen=True, slots=True)
class Known:
    """The little of an attempt that tells whether a combination has to run again."""

    id: str
    attempt: int
    inputs: str
    verdict: str
    line: bytes

    @property
    def is_infra(self) -> bool:
        """Whether it says something about this machine or the network, and nothing about versions."""
        return self.verdict.startswith(f"{Status.INFRA}/")

    def record(self) -> Record:
        """The whole record.

        Raises:
            ValidationError: the line is not one of this version of the schema.
        """
        return Record.model_validate_json(self.line)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken over from elsewhere."""

    added: list[Record]
    known: int
    """Records that were here already."""


@dataclass(slots=True)
class ResultStore:
    """The records in one reports folder.

    What is known is read once and then followed: every look reads only the lines that were added since.
    """

    folder: Path
    _known: dict[str, Known] = field(default_factory=dict)
    _read_to: int = 0
    """Bytes of the file that ``_known`` is made of, always whole lines."""
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _held: WeakValueDictionary[bytes, Record] = field(default_factory=WeakValueDictionary)
    """Records that somebody holds, by the hash of their line: a report rendered during a run shares the run's."""

    @property
    def file(self) -> Path:
        """The JSON lines."""
        return self.folder / RECORD_FILE

    def append(self, record: Record, *, unless_known: bool = False) -> Record:
        """Add one record as the next attempt at its combination; it is on the disk when this returns.

        Args:
            record: what to add.
            unless_known: add nothing when the latest attempt on file has the same inputs already and was no
                infrastructure trouble, which happens when several harnesses run the same combination at once.

        Returns:
            The record on file: as given, or with another attempt number, or the other harness's.

        Raises:
            OSError: it could not be written; the file is as it was, or ends in a torn line that readers skip.
        """
        made = make_folder(self.folder)
        with self._guard, FileLock(self.folder / f".{RECORD_FILE}.lock"):
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                known = self._follow().get(record.id)
                if known is not None and unless_known and known.inputs == record.inputs and not known.is_infra:
                    with suppress(ValidationError):  # a line of that id that is no record: then ours is the first
                        return known.record()
                if known is not None and record.attempt <= known.attempt:
                    record = record.model_copy(update={"attempt": known.attempt + 1})
                line = record.model_dump_json().encode() + b"\n"
                self._held[_mark(line)] = record
                size = os.fstat(descriptor).st_size
                if not size:
                    sync_folders(self.folder, made)  # the file's own name has to be there as well
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # the last writer was killed in the middle of its line
                written = 0
                while written < len(line):
                    written += os.write(descriptor, line[written:])
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return record

    def take_over(self, records: Iterable[Record]) -> Taken:
        """Append the records that another machine wrote, each once, as further attempts.

        Raises:
            OSError: one could not be written.
        """
        here = {(each.id, each.started) for each in self.records()}
        added: list[Record] = []
        known = 0
        self.write_schema()
        for record in records:
            if (record.id, record.started) in here:
                known += 1
            else:
                added.append(self.append(record))
        return Taken(added, known)

    def latest(self) -> dict[str, Known]:
        """What is known of each id, by its last whole line, in the order of their first lines."""
        with self._guard:
            return dict(self._follow())

    def _follow(self) -> dict[str, Known]:
        """Read on from where the last look ended; from the start when the file was replaced by a shorter one."""
        try:
            with open_ordinary(self.file) as file:
                if os.fstat(file.fileno()).st_size < self._read_to:
                    self._known, self._read_to = {}, 0
                file.seek(self._read_to)
                added = file.read()
        except FileNotFoundError:
            self._known, self._read_to = {}, 0
            return self._known
        whole = added.rfind(b"\n") + 1
        for line in added.splitlines():  # the last one may be whole, only without its end
            known = _known(line)
            if known is not None:
                self._known[known.id] = known
        self._read_to += whole
        return self._known

    def records(self) -> list[Record]:
        """The latest record of each id, in the order of their first lines.

        Lines that are not records of this version of the schema are left out; :meth:`damage` names them.
        """
        found: list[Record] = []
        for known in self.latest().values():
            try:
                found.append(self._record(known.line))
            except ValidationError:
                continue  # told by damage()
        return found

    def attempts(self) -> list[Record]:
        """Every attempt on file, in its order; lines that are no records are left out, as in :meth:`records`."""
        found: list[Record] = []
        for line in self._lines():
            with suppress(ValidationError):  # told by damage()
                found.append(self._record(line))
        return found

    def damage(self) -> list[str]:
        """One sentence for each line that cannot be read as a record."""
        complaints = []
        for number, line in enumerate(self._lines(), start=1):
            try:
                Record.model_validate_json(line)
            except ValidationError as error:
                if line.strip():
                    complaints.append(f"{self.file}:{number}: not a record ({error.errors()[0]['msg']}); left out")
        return complaints

    def write_schema(self) -> None:
        """Put the JSON Schema of a line beside the file, unless it is there already."""
        schema = json.dumps(Record.model_json_schema(mode="serialization"), indent=1) + "\n"
        path = self.folder / SCHEMA_FILE
        if not path.exists() or path.read_text("utf-8") != schema:
            write_atomically(path, schema)

    def _record(self, line: bytes) -> Record:
        """The line's record, the same object as long as somebody holds it.

        Raises:
            ValidationError: the line is not one of this version of the schema.
        """
        mark = _mark(line)
        with self._guard:
            record = self._held.get(mark)
            if record is None:
                record = self._held[mark] = Record.model_validate_json(line)
        return record

    def _lines(self) -> Iterator[bytes]:
        """One after another: the file can be larger than what one wants in memory."""
        if self.file.exists():
            with open_ordinary(self.file) as file:
                yield from file


def _mark(line: bytes) -> bytes:
    return hashlib.sha256(line.strip()).digest()


def _known(line: bytes) -> Known | None:
    """What a line says, if it is one that tells of an attempt."""
    try:
        content = json.loads(line)
        name, attempt = str(content["id"]), int(content["attempt"])
        name.encode()  # half a character is no text
        return Known(name, min(attempt, _MOST_ATTEMPTS), str(content["inputs"]), str(content["verdict"]), line)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None  # torn, or not a record; told by damage()

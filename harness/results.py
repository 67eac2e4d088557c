"""The record file: append-only JSON lines, whole or absent, written as results come.

One line is one attempt at one combination. Nothing is ever changed or removed; the latest line of an id is what is
known of it. A line torn by a crash is left where it is, told about once, and read over.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import ValidationError

from harness.durable import write_atomically
from harness.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD_FILE = "results.jsonl"
SCHEMA_FILE = "record.schema.json"


@dataclass(frozen=True, slots=True)
class Known:
    """The little of an attempt that tells whether a combination has to run again."""

    id: str
    attempt: int
    inputs: str
    verdict: str
    line: bytes

    def record(self) -> Record:
        """The whole record."""
        return Record.model_validate_json(self.line)


@dataclass(slots=True)
class ResultStore:
    """The records in one reports folder."""

    folder: Path

    @property
    def file(self) -> Path:
        """The JSON lines."""
        return self.folder / RECORD_FILE

    def append(self, record: Record) -> None:
        """Add one record; it is on the disk when this returns.

        Raises:
            OSError: it could not be written; the file is as it was, or ends in a torn line that readers skip.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        line = record.model_dump_json().encode() + b"\n"
        with FileLock(self.folder / f".{RECORD_FILE}.lock"):
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # the last writer was killed in the middle of its line
                written = 0
                while written < len(line):
                    written += os.write(descriptor, line[written:])
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def latest(self) -> dict[str, Known]:
        """What is known of each id, by its last whole line, in the order of their first lines."""
        known: dict[str, Known] = {}
        for line, content in self._lines():
            identity = str(content["id"])
            known[identity] = Known(
                identity, int(content["attempt"]), str(content["inputs"]), str(content["verdict"]), line
            )
        return known

    def records(self) -> list[Record]:
        """The latest record of each id, in the order of their first lines.

        Lines that are not records of this version of the schema are left out; :meth:`damage` names them.
        """
        found: list[Record] = []
        for known in self.latest().values():
            try:
                found.append(known.record())
            except ValidationError:
                continue  # told by damage()
        return found

    def verdicts_before(self) -> dict[str, str]:
        """The verdict of each id before its latest attempt, its only one where there is no other.

        Empty when no attempt changed a verdict: then there is nothing to compare.
        """
        latest: dict[str, str] = {}
        before: dict[str, str] = {}
        for _, content in self._lines():
            identity = str(content["id"])
            before[identity] = latest.get(identity, str(content["verdict"]))
            latest[identity] = str(content["verdict"])
        return before if before != latest else {}

    def damage(self) -> list[str]:
        """One sentence for each line that cannot be read as a record."""
        if not self.file.exists():
            return []
        complaints = []
        for number, line in enumerate(self.file.read_bytes().splitlines(), start=1):
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
        if not path.exists() or path.read_text() != schema:
            write_atomically(path, schema)

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if not self.file.exists():
            return
        for line in self.file.read_bytes().splitlines():
            try:
                content = json.loads(line)
            except ValueError:
                continue  # torn; told by damage()
            if isinstance(content, dict) and {"id", "attempt", "inputs", "verdict"} <= content.keys():
                yield line, content

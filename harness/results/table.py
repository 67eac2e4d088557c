"""The records as a table of SQLite, made for one question and gone after it.

SQLite comes with Python, so nothing has to be installed and nothing can get out of step with the records, which stay
the only store. Reading the file is what takes time; what is kept of a record is one flat row.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from harness.core.files import open_ordinary
from harness.core.verdict import Stage, Status, Verdict
from harness.results.language import NUMBER, TEXT, VERSION, Condition, known_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.results.language import Kind

COLUMNS: Mapping[str, Kind] = {
    "id": TEXT,
    "attempt": NUMBER,
    "status": tuple(each.value for each in Status),
    "stage": tuple(each.value for each in Stage),
    "family": TEXT,
    "detail": TEXT,
    "verdict": TEXT,
    "expected": TEXT,
    "as_expected": TEXT,
    "signature": TEXT,
    "python": VERSION,
    "lmdeploy": VERSION,
    "transformers": VERSION,
    "torch": VERSION,
    "backend": TEXT,
    "model": TEXT,
    "as_of": TEXT,
    "launch": TEXT,
    "tags": TEXT,
    "lock": TEXT,
    "node": TEXT,
    "gpu": TEXT,
    "gpu_memory_mib": NUMBER,
    "compute_capability": VERSION,
    "driver": VERSION,
    "os": TEXT,
    "seconds": NUMBER,
    "started": TEXT,
    "finished": TEXT,
    "harness": TEXT,
    "run": TEXT,
    "source": TEXT,
    "level": TEXT,
}
"""What can be asked for, and of what kind it is."""
DEFAULT = ("id", "verdict", "as_expected", "gpu", "seconds")
_BATCH = 1000


class Answers:
    """Rows, and how many lines of the file were no records."""

    def __init__(self, rows: list[tuple[Any, ...]], damaged: int) -> None:
        self.rows = rows
        self.damaged = damaged


HERE = "here"
"""The source of this machine's own records."""
Stack = tuple[str | None, str | None, str | None]
"""Model, backend and lock."""


def ask(  # noqa: PLR0913 - the parts of a question
    files: Mapping[str, Path],
    condition: Condition,
    columns: Sequence[str],
    *,
    order: str | None = None,
    limit: int | None = None,
    every_attempt: bool = False,
    levels: Mapping[Stack, str] = MappingProxyType({}),
) -> Answers:
    """The rows of the records in the files that meet the condition.

    Args:
        files: JSON lines, by the name of their source.
        condition: as :func:`harness.results.language.parse` makes it.
        columns: what a row holds.
        order: a column to sort by, with ``-`` before it the other way round; None: as in the file.
        limit: most rows.
        every_attempt: earlier attempts, too; otherwise the latest of each id of each source.
        levels: what is known of stacks, by model, backend and lock.

    Raises:
        BadQuery: there is no such column.
        OSError: the file cannot be read.
    """
    names = list(COLUMNS)
    shown = [known_column(each, names) for each in columns or [""]]
    with closing(sqlite3.connect(":memory:")) as database:
        database.create_function("version_key", 1, version_key, deterministic=True)
        typed = ", ".join(f'"{name}" {"REAL" if kind == NUMBER else "TEXT"}' for name, kind in COLUMNS.items())
        database.execute(f"CREATE TABLE records (place INTEGER PRIMARY KEY, {typed})")
        damaged = sum(_fill(database, file, source, levels) for source, file in files.items())
        # every part of the statement is from the closed list of columns; what the reader wrote goes in as values
        wanted = ", ".join(f'"{name}"' for name in shown)
        statement = f"SELECT {wanted} FROM records WHERE ({condition.sql})"  # noqa: S608
        if not every_attempt:
            statement += " AND place IN (SELECT MAX(place) FROM records GROUP BY id, source)"
        statement += f" ORDER BY {_ordered(order, names)}place"
        if limit is not None:
            statement += f" LIMIT {int(limit)}"
        return Answers(database.execute(statement, condition.values).fetchall(), damaged)


def version_key(text: object) -> str:
    """A version as text that sorts as versions do; what is none sorts by itself, before them."""
    if text is None:
        return ""
    try:
        version = Version(str(text))
    except InvalidVersion:
        return f" {text}"
    release = ".".join(f"{part:08d}" for part in (*version.release, 0, 0, 0, 0)[:6])
    early = f"{version.pre[0]}{version.pre[1]:05d}" if version.pre else ("a" if version.dev is not None else "z")
    return f"{version.epoch:03d}!{release}{early}{version.post or 0:05d}"


def _ordered(order: str | None, names: Sequence[str]) -> str:
    if order is None:
        return ""
    name = known_column(order.lstrip("-"), names)
    column = f'version_key("{name}")' if COLUMNS[name] == VERSION else f'"{name}"'
    return f"{column}{' DESC' if order.startswith('-') else ''}, "


_LARGEST = 2.0**63
"""As the table counts."""


def _fill(database: sqlite3.Connection, file: Path, source: str, levels: Mapping[Stack, str]) -> int:
    damaged = 0
    marks = ", ".join("?" * len(COLUMNS))
    batch: list[list[Any]] = []
    for row in _rows(file, source, levels):
        if row is None:
            damaged += 1
            continue
        batch.append(row)
        if len(batch) == _BATCH:
            database.executemany(f"INSERT INTO records VALUES (NULL, {marks})", batch)  # noqa: S608 - only marks
            batch.clear()
    database.executemany(f"INSERT INTO records VALUES (NULL, {marks})", batch)  # noqa: S608 - as above
    return damaged


def _rows(file: Path, source: str, levels: Mapping[Stack, str]) -> Iterator[list[Any] | None]:
    """A row for each record; None for a line that is none."""
    with open_ordinary(file) as lines:
        for line in lines:
            if line.strip():
                try:
                    yield _row(json.loads(line), source, levels)
                except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
                    yield None


def _row(record: dict[str, Any], source: str, levels: Mapping[Stack, str]) -> list[Any]:
    verdict = Verdict.parse(str(record["verdict"]))
    axes, machine, stack = record["axes"], record["machine"], record.get("stack") or {}
    decided: dict[str, Any] = next(
        (
            check["diagnosis"]
            for stage in record["stages"]
            for check in stage["checks"]
            if check["outcome"] != "pass" and check.get("diagnosis")
        ),
        {},
    )
    expected = record["as_expected"]
    values = {
        **{name: axes.get(name) for name in ("python", "lmdeploy", "transformers", "backend", "model", "as_of")},
        **{name: record[name] for name in ("id", "attempt", "expected", "lock", "started", "finished", "harness")},
        "launch": axes.get("launch", "library"),
        "status": str(verdict.status),
        "stage": str(verdict.stage) if verdict.stage else None,
        "family": str(verdict.reason) if verdict.reason else None,
        "detail": verdict.detail or None,
        "verdict": record["verdict"],
        "as_expected": "unknown" if expected is None else "yes" if expected else "no",
        "signature": decided.get("signature"),
        "run": record.get("run") or None,
        "source": source,
        "level": levels.get((axes.get("model"), axes.get("backend"), record["lock"])),
        "torch": stack.get("torch"),
        "tags": " ".join(record.get("tags") or ()),
        "node": machine.get("node") or None,
        "gpu": ", ".join(machine.get("gpus") or ()) or None,
        "gpu_memory_mib": min(machine.get("gpu_memory_mib") or [None], key=lambda each: each or 0),
        "compute_capability": min(machine.get("gpu_capability") or [None], key=lambda each: each or ""),
        "driver": machine.get("driver"),
        "os": machine.get("os"),
        "seconds": round(sum(stage["seconds"] for stage in record["stages"]), 1),
    }
    return [_storable(values[name]) for name in COLUMNS]


def _storable(value: Any) -> str | float | None:  # noqa: ANN401 - whatever stands in the file
    """The value, if it is one that a table can hold."""
    if isinstance(value, str):
        value.encode()
        return value
    if value is None or (isinstance(value, int | float) and abs(value) < _LARGEST):
        return value
    raise ValueError(f"{type(value).__name__} is no value of a column")

"""The scan's cache on disk: file listings, sources by content, and what was read out of them.

Everything in it can be fetched or derived again. SearchPath are kept once per content, however many releases ship the
same file, still deflated as they lay in the wheel; what the parser made of them is kept beside, per version of the
parser. One SQLite file; several processes may use it at once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_LAYOUT = 3
_BATCH = 400
"""Placeholders in one statement, well under SQLite's limit."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS listing (file TEXT PRIMARY KEY, entries BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS source (content TEXT PRIMARY KEY, deflated BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS reading (content TEXT, kind TEXT, found BLOB NOT NULL, PRIMARY KEY (content, kind));
"""


class StoreUnusable(HarnessError):  # noqa: N818 - says what happened
    """The cache folder cannot be used; the message says which and why."""


def default_folder() -> Path:
    """Where the cache lies unless told otherwise: ``HARNESS_SCAN_CACHE``, or the user's cache folder."""
    given = os.environ.get("HARNESS_SCAN_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("lmdeploy-harness")) / "scan"


class Store:
    """The cache in one folder.

    Args:
        folder: made when needed.

    Raises:
        StoreUnusable: the folder or the file in it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / f"scan-{_LAYOUT}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(
                f"the scan's cache {path} cannot be used: {error}; give another with --cache or HARNESS_SCAN_CACHE"
            ) from error
        self._fresh: dict[tuple[str, str], object] = {}
        """Readings that are not written yet: one by one they would cost more than making them."""

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self.flush()
        self._db.close()

    def flush(self) -> None:
        """Write the readings that are not written yet."""
        if self._fresh:
            rows = [(content, kind, _packed(found)) for (content, kind), found in self._fresh.items()]
            with self.together():
                self._db.executemany("INSERT OR REPLACE INTO reading VALUES (?, ?, ?)", rows)
            self._fresh.clear()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write everything inside the block at once: far quicker than one by one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def listing(self, file: str) -> Any | None:  # noqa: ANN401 - JSON, read by the one who kept it
        """What :meth:`keep_listing` was given for a wheel or source archive."""
        row = self._db.execute("SELECT entries FROM listing WHERE file = ?", (file,)).fetchone()
        return None if row is None else json.loads(zlib.decompress(row[0]))

    def has_listing(self, file: str) -> bool:
        """Whether a listing is kept."""
        return self._db.execute("SELECT 1 FROM listing WHERE file = ?", (file,)).fetchone() is not None

    def keep_listing(self, file: str, entries: object) -> None:
        """Keep the table of contents of a wheel or source archive, as JSON."""
        self._db.execute("INSERT OR REPLACE INTO listing VALUES (?, ?)", (file, _packed(entries)))

    def source(self, content: str) -> bytes | None:
        """A source by the key of its content."""
        row = self._db.execute("SELECT deflated FROM source WHERE content = ?", (content,)).fetchone()
        return None if row is None else zlib.decompress(row[0], -zlib.MAX_WBITS)

    def keep_source(self, content: str, deflated: bytes) -> None:
        """Keep a source, as a raw deflate stream."""
        self._db.execute("INSERT OR IGNORE INTO source VALUES (?, ?)", (content, deflated))

    def missing_sources(self, contents: Iterable[str]) -> set[str]:
        """Those of ``contents`` whose source is not kept."""
        wanted = list(dict.fromkeys(contents))
        return set(wanted) - self._present("SELECT content FROM source WHERE content IN", wanted)

    def reading(self, content: str, kind: str) -> Any | None:  # noqa: ANN401 - JSON, read by the one who kept it
        """What was read out of a source for one purpose."""
        if (content, kind) in self._fresh:
            return self._fresh[content, kind]
        query = "SELECT found FROM reading WHERE content = ? AND kind = ?"
        row = self._db.execute(query, (content, kind)).fetchone()
        return None if row is None else json.loads(zlib.decompress(row[0]))

    def readings(self, contents: Sequence[str], kind: str) -> dict[str, Any]:
        """Many readings of one kind; absent ones are left out."""
        found: dict[str, Any] = {c: self._fresh[c, kind] for c in contents if (c, kind) in self._fresh}
        for start in range(0, len(contents), _BATCH):
            batch = contents[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            query = f"SELECT content, found FROM reading WHERE kind = ? AND content IN ({marks})"  # noqa: S608 - marks
            for content, packed in self._db.execute(query, (kind, *batch)):
                found[content] = json.loads(zlib.decompress(packed))
        return found

    def keep_reading(self, content: str, kind: str, found: object) -> None:
        """Keep what was read out of a source, as JSON."""
        self._fresh[content, kind] = found
        if len(self._fresh) >= _BATCH:
            self.flush()

    def forget_readings(self) -> None:
        """Drop everything that was parsed, keeping the sources: what a benchmark of the parser starts from."""
        self._fresh.clear()
        self._db.execute("DELETE FROM reading")

    def _present(self, query: str, wanted: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            found.update(row[0] for row in self._db.execute(f"{query} ({marks})", batch))
        return found


def _packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)

"""Keeping the report current while results come in."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.durable import read_json
from harness.report import write_report
from harness.report.write import PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from harness.records import Record
    from harness.results import ResultStore

VIEWS = ("scan", "incidents", "gate")
"""Views of the report that are filled by a file of that name."""
INTERVAL = 20.0
"""Seconds between two renderings while results come in; the first comes with the first result."""


@dataclass(slots=True)
class Publisher:
    """Renders the report from the record file.

    ``ids``, where given, are the matrix's combinations in its order: records of combinations that the matrix no
    longer has stay in the record file and out of the report.
    """

    store: ResultStore
    ids: Sequence[str] | None = None
    _last: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def page(self) -> Path:
        """The report's file."""
        return self.store.folder / PAGE

    def note_result(self) -> None:
        """A result came in: render, unless that was done a moment ago."""
        with self._lock:
            if time.monotonic() - self._last < INTERVAL:
                return
            self._last = time.monotonic()
        self.publish()

    def publish(self) -> Path:
        """Render now and return the page."""
        return write_report(self.records(), self.store.folder, self.extras())

    def extras(self) -> dict[str, JsonValue]:
        """What other commands left beside the records for the report: one file for each of its further views."""
        found: dict[str, JsonValue] = {}
        for name in VIEWS:
            content = read_json(self.store.folder / f"{name}.json")
            if content is not None:
                found[name] = content
        return found

    def publish_if_older(self) -> Path:
        """Render unless the page is younger than the last record."""
        if not self.page.exists() or (
            self.store.file.exists() and self.page.stat().st_mtime <= self.store.file.stat().st_mtime
        ):
            return self.publish()
        return self.page

    def records(self) -> list[Record]:
        """What the report is made of."""
        records = self.store.records()
        if self.ids is None:
            return records
        place = {identity: number for number, identity in enumerate(self.ids)}
        return sorted((each for each in records if each.id in place), key=lambda each: place[each.id])

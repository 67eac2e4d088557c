"""The record file: appended by many, readable after any crash."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.records import Record
from harness.results.store import ResultStore

if TYPE_CHECKING:
    from pathlib import Path


NOW = datetime(2026, 1, 4, tzinfo=UTC)


def record(identity: str = "one", attempt: int = 1) -> Record:
    return Record(
        id=identity,
        attempt=attempt,
        axes={},
        verdict="pass",
        expected="pass",
        as_expected=True,
        machine=machine(),
        command="",
        inputs="",
        harness="0",
        started=NOW,
        finished=NOW,
        synthetic=True,
    )


def test_a_torn_last_line_costs_that_line_only(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.append(record("one"))
    store.append(record("two"))
    content = store.file.read_bytes()
    store.file.write_bytes(content[:-20])
    assert [each.id for each in store.records()] == ["one"]
    (complaint,) = store.damage()
    assert complaint.startswith(f"{store.file}:2: not a record")
    store.append(record("three"))
    assert [each.id for each in store.records()] == ["one", "three"]


def test_the_latest_attempt_is_what_is_known(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for attempt in (1, 2):
        store.append(record("one", attempt))
    assert [each.attempt for each in store.records()] == [2]
    assert store.file.read_bytes().count(b"\n") == 2


def test_every_attempt_is_read_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for attempt in (1, 2):
        store.append(record("one", attempt))
    with store.file.open("ab") as file:
        file.write(b'{"id": "torn\n')
    store.append(record("two"))
    assert [(each.id, each.attempt) for each in store.attempts()] == [("one", 1), ("one", 2), ("two", 1)]


def test_many_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)

    def write(number: int) -> None:
        for each in range(20):
            store.append(record(f"{number}-{each}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.file.read_bytes().splitlines()) == 160
    assert len(store.records()) == 160
    assert store.damage() == []

"""What the harness writes: whole or absent, readable after any crash, free of redaction."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness.core.files import digest, read_json, write_atomically
from harness.core.machine import machine
from harness.core.records import Record
from harness.core.verdict import Stage, Status
from harness.environments.lock import InvalidLock, Lock
from harness.pipeline.check_cache import CheckCache, CheckResult, StageResult
from harness.process import redaction
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


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00", "nul"])
def test_a_damaged_file_of_our_own_counts_as_absent(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    assert read_json(path) is None


def test_a_question_is_asked_once_by_all(tmp_path: Path) -> None:
    book = CheckCache(tmp_path)
    asked: list[int] = []
    answer = CheckResult(
        key=digest("q"), check="c", stages=[StageResult(stage=Stage.IMPORT, outcome=Status.PASS)], seconds=1
    )

    def find_out() -> CheckResult:
        asked.append(1)
        return answer

    threads = [threading.Thread(target=book.ask, args=(answer.key, find_out)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert book.ask(answer.key, find_out) == (answer, True)


def test_an_answer_that_may_change_is_not_kept(tmp_path: Path) -> None:
    book = CheckCache(tmp_path)
    passing = CheckResult(key=digest("q"), check="c", stages=[], seconds=1, final=False)
    book.ask(passing.key, lambda: passing)
    assert book.recall(passing.key) is None


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefghijklmnopqrstuvwx",
        "https://user:hunter2hunter2@index.example.org/simple",
        "Authorization: Bearer abcdef0123456789",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "{'api_key': 'f00dfeedf00dfeed'}",
        "password: correct-horse-battery",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_credentials_are_masked_and_the_rest_stays(text: str) -> None:
    clean = redaction.redact(f"before {text} after")
    assert redaction.MASK in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    for secret in ("hunter2", "abcdefghijklmnop", "wJalr", "IOSFODNN7", "f00dfeed", "correct-horse", "dozjg", "MIIE"):
        assert secret not in clean


@pytest.mark.parametrize(
    "text",
    [
        "ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils'",
        "tokenizer: Qwen2Tokenizer, tokens=281, token id 151643",
        "AttributeError: 'Qwen2VLProcessor' object has no attribute 'image_token'",
        "see https://github.com/InternLM/lmdeploy/issues/3394 for details",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redaction.redact(text) == text


def test_children_do_not_see_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwx")
    monkeypatch.setenv("UV_INDEX_URL", "https://user:password@index.example.org")
    environment = redaction.child_environment(home="/h", scratch="/s")
    assert "HF_TOKEN" not in environment
    assert "UV_INDEX_URL" not in environment
    assert environment["HOME"] == "/h"
    assert "HF_TOKEN" not in redaction.installer_environment()
    assert "UV_INDEX_URL" in redaction.installer_environment()


LOCK = """\
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "torch-thing"
version = "2.8.0"
wheels = [
  { url = "https://x.org/torch_thing-2.8.0-cp311-cp311-linux_x86_64.whl", size = 800, hashes = { sha256 = "aa" } },
  { url = "https://x.org/torch_thing-2.8.0-py3-none-any.whl", size = 5, hashes = { sha256 = "bb" } },
]
"""


def test_a_lock_knows_its_stack_and_what_to_fetch() -> None:
    lock = Lock(LOCK)
    assert lock.stack == {"torch-thing": "2.8.0"}
    assert lock.requirements() == "torch-thing==2.8.0 --hash=sha256:aa --hash=sha256:bb\n"
    assert list(lock.download_sizes("3.11").values()) == [800]
    assert list(lock.download_sizes("3.12").values()) == [5]
    assert Lock(LOCK + "\n").name != lock.name


@pytest.mark.parametrize("text", ["", "[[packages]]", "lock-version = '9.0'", "not toml ["])
def test_what_is_not_a_lock_is_refused(text: str) -> None:
    with pytest.raises(InvalidLock, match="PEP 751"):
        _ = Lock(text).stack

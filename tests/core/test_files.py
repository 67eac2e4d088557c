"""Files of the harness's own: whole or absent, and readable after any crash."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.core.files import read_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


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

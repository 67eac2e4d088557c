"""What a checkpoint's digest follows from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.checkpoints import folder_digest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_change_in_a_subfolder_is_another_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "code" / "modeling.py").write_text("x = 1")
    before = folder_digest(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "noted").write_text("today")
    folder_digest.cache_clear()
    assert folder_digest(tmp_path) == before
    (tmp_path / "code" / "modeling.py").write_text("x = 2")
    folder_digest.cache_clear()
    assert folder_digest(tmp_path) != before

"""Wheels on their way into a bundle."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from harness.bundle.pack import rewrite
from tests.miniatures import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("stored", [False, True])
def test_a_rewritten_wheel_is_a_whole_one(tmp_path: Path, *, stored: bool) -> None:
    wheel = make_wheel(tmp_path, "mini", "1.0", {"mini/__init__.py": "x = 1", "mini/lib/big.so": "#" * 10_000})
    made = tmp_path / "made.whl"
    with made.open("wb") as target:
        rewrite(wheel, target, left_out=["mini/lib/big.so"], stored=stored)
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None
        assert "mini/lib/big.so" not in archive.namelist()
        assert "big.so" not in archive.read("mini-1.0.dist-info/RECORD").decode()
        kinds = {item.compress_type for item in archive.infolist()}
        assert kinds == {zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED}

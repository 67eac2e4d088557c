"""A whole bisection on the real packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_real_culprit_is_found(tmp_path: Path) -> None:
    """As of the troubleshooting log's day lmdeploy 0.11.1 imports; as of today it does not."""
    (tmp_path / "matrix.yaml").write_text((ROOT / "matrix.yaml").read_text())
    (tmp_path / "models").symlink_to(ROOT / "models")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "bisect", "2026-01-04", "today", "--lmdeploy", "0.11.1", "--format", "json"],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=2900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert [each["package"] for each in found["cause"]] == ["transformers"]
    assert found["tests"] <= found["bound_worst"]

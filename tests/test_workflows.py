"""The workflows of ``.github/``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import ROOT


def test_workflows_fit_githubs_schema() -> None:
    files = sorted(str(file) for file in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert files
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [checker, "--builtin-schema", "vendor.github-workflows", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

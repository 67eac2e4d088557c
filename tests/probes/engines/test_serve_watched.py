"""The script that starts lmdeploy's own server."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_packages_are_imported_and_not_the_probes_of_their_names(tmp_path: Path) -> None:
    """The script lies beside lmdeploy.py and transformers.py, and Python puts a script's folder first."""
    (tmp_path / "lmdeploy" / "cli").mkdir(parents=True)
    (tmp_path / "lmdeploy" / "cli" / "entrypoint.py").write_text(
        "import sys\nimport transformers\n\ndef run():\n    print(transformers.WHAT, sys.argv)\n"
    )
    (tmp_path / "transformers.py").write_text("WHAT = 'the package'\n")
    script = ROOT / "harness" / "probes" / "engines" / "serve_watched.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path / "told", "serve", "api_server"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "the package ['lmdeploy', 'serve', 'api_server']\n"

"""What noxfile.py says agrees with pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from tests import ROOT

if TYPE_CHECKING:
    from tests.miniatures import MiniProject


def test_nox_installs_what_the_project_declares() -> None:
    block = re.search(r"^# /// script\n(.*?)^# ///$", (ROOT / "noxfile.py").read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    header = tomllib.loads(re.sub(r"^# ?", "", block[1], flags=re.MULTILINE))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    nox = [each for each in declared["dependency-groups"]["dev"] if each.startswith("nox")]
    assert sorted(header["dependencies"]) == sorted(declared["project"]["dependencies"] + nox)
    assert header["requires-python"] == declared["project"]["requires-python"]


def test_a_noxfile_of_ones_own_gets_the_sessions_of_its_matrix(
    mini_project: MiniProject, miniature_environment: dict[str, str]
) -> None:
    text = "import nox\nfrom harness.cli.nox_sessions import add_sessions\n\nadd_sessions('matrix.yaml')\n"
    (mini_project.root / "noxfile.py").write_text(text)
    environment = {**miniature_environment, "PYTHONPATH": str(ROOT)}

    def nox(*arguments: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "nox", *arguments]
        done = subprocess.run(
            command, cwd=mini_project.root, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout if not status else done.stderr

    listed = nox("-l")
    assert "matrix(lmdeploy1.0-" in listed
    assert {"plan", "baseline", "gate"} <= set(re.findall(r"^\* (\w+)$", listed, re.MULTILINE))
    assert "distinct stack" in nox("-s", "plan")
    assert "'-t quick' after -- is not understood" in nox("-x", "-s", "matrix", "--", "-t", "quick", status=1)

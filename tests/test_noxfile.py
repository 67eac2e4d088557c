"""What noxfile.py says agrees with pyproject.toml."""

from __future__ import annotations

import re
import tomllib

from tests import ROOT


def test_nox_installs_what_the_project_declares() -> None:
    block = re.search(r"^# /// script\n(.*?)^# ///$", (ROOT / "noxfile.py").read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    header = tomllib.loads(re.sub(r"^# ?", "", block[1], flags=re.MULTILINE))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    nox = [each for each in declared["dependency-groups"]["dev"] if each.startswith("nox")]
    assert sorted(header["dependencies"]) == sorted(declared["project"]["dependencies"] + nox)
    assert header["requires-python"] == declared["project"]["requires-python"]

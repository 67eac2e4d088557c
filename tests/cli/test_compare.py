"""Two runs side by side on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from harness.cli.compare import compare
from harness.core.verdict import Stage
from harness.results.store import ResultStore
from tests import ROOT
from tests.evidence.samples import record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> list[str]:
    """Options of a project with two runs on record."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    store = ResultStore(tmp_path / "reports")
    old = [record("canary", at=0), record("canary", transformers="5.6.2", lock="c" * 16, at=0)]
    bad = record("canary", passed=Stage.CONFIGURE, failed=Stage.BOOT, lock="b" * 16, packages={"torch": "2.13.0"}, at=5)
    new = [bad, record("canary", transformers="5.24.0", lock="d" * 16, at=5)]
    for name, found in (("20261101T120000Z-a", old), ("20261101T170000Z-b", new)):
        for each in found:
            store.append(each.model_copy(update={"run": name}))
    return ["--matrix", str(tmp_path / "matrix.yaml")]


def test_two_runs_say_what_changed_appeared_went_and_moved(project: list[str], tmp_path: Path) -> None:
    asked = ["last~1", "20261101T170000Z-b", *project]
    result = CliRunner().invoke(compare, asked)
    assert result.exit_code == 1, result.output
    assert "1 regressed, 1 new, 1 gone" in result.output
    assert "moved in 1: torch 2.12.1 -> 2.13.0" in result.output
    assert "answer for canary on pytorch: lmdeploy 0.18.0 with transformers 5.17.0: served" in result.output
    told = json.loads(CliRunner().invoke(compare, [*asked, "--format", "json"]).output)
    assert told["moved"][0]["packages"] == [["torch", "2.12.1", "2.13.0"]]
    CliRunner().invoke(compare, [*asked, "--out", str(tmp_path / "shown")])
    page = (tmp_path / "shown" / "index.html").read_text()
    assert "Stacks that moved" in page
    assert "torch 2.12.1 → 2.13.0" in page


def test_what_is_no_run_is_told(project: list[str]) -> None:
    result = CliRunner().invoke(compare, ["last", "nothing", *project])
    assert result.exit_code == 2
    assert (
        "'nothing' is no file, no reports folder and no run; the last runs on record: 20261101T120000Z-a"
        in result.stderr
    )

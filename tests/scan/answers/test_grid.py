"""Every pair of many releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.scan.answers.findings import Prediction
from harness.scan.answers.grid import make_grid
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import QWEN2_VL

if TYPE_CHECKING:
    from harness.scan.sources.release import Library


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_map_holds_every_pair(library: Library, jobs: int) -> None:
    grid = make_grid(library, QWEN2_VL, jobs=jobs)
    verdicts = {(str(a), str(b)): cell.verdict for (a, b), cell in grid.cells.items()}
    assert len(verdicts) == 10
    assert verdicts["0.9.0", "4.40.0"] is Prediction.FAIL
    assert verdicts["0.9.0", "4.42.0"] is Prediction.PASS
    assert verdicts["0.9.1", "4.42.0"] is Prediction.REFUSED
    assert grid.cells[Version("0.9.0"), Version("4.41.0")].names[0] == "transformers.processing_utils.ImagesKwargs"
    assert grid.evaluations < len(verdicts)


def test_versions_that_answer_alike_are_evaluated_once(library: Library) -> None:
    scanner = Scanner(library, QWEN2_VL)
    for version in ("4.42.0", "4.43.0", "4.44.0"):
        scanner.verdict(Version("0.9.0"), Version(version))
    assert scanner.engine("0.9.0").memory.distinct == 1
    scanner.verdict(Version("0.9.0"), Version("4.40.0"))
    assert scanner.engine("0.9.0").memory.distinct == 2


def test_the_quick_verdict_is_that_of_the_whole_scan(library: Library) -> None:
    scanner = Scanner(library, QWEN2_VL)
    for own in ("0.9.0", "0.9.1"):
        for version in library.versions("transformers"):
            assert scanner.verdict(Version(own), version)[0] is scanner.scan(own, version).verdict

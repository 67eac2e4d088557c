"""The report's map: predictions with the truth laid over them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.report.extras import ScanView
from harness.scan.answers import truth
from harness.scan.answers.grid import make_grid
from harness.scan.answers.report_data import map_context, outcome_of
from harness.scan.evaluation.target import QWEN2_VL
from tests.scan.answers.samples import BAD, GOOD, compare, record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scan.sources.release import Library


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (GOOD, "pass"),
        (BAD, "fail"),
        (("fail/resolve/resolver-conflict",), "fail"),
        (("pass/resolve", "infra/install/hub-network"), None),
        (("pass/resolve", "blocked/import/native-library-missing"), "blocked"),
        (("pass/resolve", "pass/install"), None),
    ],
)
def test_what_a_record_says_of_a_prediction(stages: tuple[str, ...], expected: str | None) -> None:
    assert outcome_of(record("0.9.0", "4.40.0", *stages)) == expected


def test_the_reports_map_lays_the_truth_over_the_predictions(library: Library) -> None:
    grid = make_grid(library, QWEN2_VL, jobs=1)
    records = [record("0.9.0", "4.42.0", *GOOD), record("0.9.0", "4.41.0", *BAD), record("9.9", "9.9", *GOOD)]
    view = ScanView.model_validate(map_context(grid, records, date="2026-01-04"))
    assert view.rows == ["0.9.0", "0.9.1"]
    cells = dict(zip(view.columns, view.cells[0], strict=True))
    measured = {column: cell.measured for column, cell in cells.items() if cell is not None}
    assert measured == {"4.40.0": None, "4.41.0": "fail", "4.42.0": "pass", "4.43.0": None, "4.44.0": None}
    shown = cells["4.41.0"]
    assert shown is not None
    assert shown.prediction == "fail"
    assert shown.findings[0] == "transformers.processing_utils.ImagesKwargs"


def test_what_was_measured_elsewhere_counts_until_a_run_tells(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    rows = [
        {"lmdeploy": "0.9.0", "transformers": version, "backend": "pytorch", "model": "canary", "how": "overlay"}
        | {"decided": "fail/import/unknown(says why)"}
        for version in ("4.41.0", "4.42.0")
    ]
    path.write_text(json.dumps(rows))
    measured = truth.read_measured(path)
    found = compare(library, [record("0.9.0", "4.42.0", *GOOD)], measured)
    assert [(row.transformers, row.how, row.kind) for row in found] == [
        ("4.41.0", "overlay", "right"),
        ("4.42.0", "environment", "right"),
    ]
    path.write_text("[{}]")
    with pytest.raises(truth.BadPairs, match="does not hold measured pairs"):
        truth.read_measured(path)


def test_the_kept_measurement_comes_into_the_report_too(library: Library) -> None:
    rows = compare(library, [record("0.9.0", "4.42.0", *GOOD), record("0.9.0", "4.41.0", *BAD)])
    kept = {"summary": truth.summary(rows), "pairs": [row.to_json() for row in rows]}
    view = ScanView.model_validate(map_context(make_grid(library, QWEN2_VL, jobs=1), truth=kept))
    assert view.truth is not None
    assert [(row.transformers, row.kind) for row in view.truth.pairs] == [("4.41.0", "right"), ("4.42.0", "right")]
    cells = dict(zip(view.columns, view.cells[0], strict=True))
    assert [cell.measured for cell in (cells["4.41.0"], cells["4.42.0"]) if cell is not None] == ["fail", "pass"]


def test_of_several_attempts_on_a_pair_the_last_counts(library: Library) -> None:
    records = [record("0.9.0", "4.42.0", *BAD), record("0.9.0", "4.42.0", *GOOD)]
    assert [row.kind for row in compare(library, records)] == ["right"]

"""Predictions, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.matrix import load_matrix
from harness.scan.answers import truth
from tests.scan.answers.samples import BAD, GOOD, compare, record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scan.sources.release import Library


def test_misses_and_false_alarms_are_told_apart(library: Library) -> None:
    records = [
        record("0.9.0", "4.42.0", *GOOD),
        record("0.9.0", "4.43.0", *BAD),
        record("0.9.0", "4.41.0", *GOOD),
        record("0.9.1", "4.40.0", "fail/resolve/resolver-conflict"),
        record("0.9.0", "4.44.0", "pass/resolve", "infra/install/hub-network"),
        record("0.9.1", "4.42.0", "pass/resolve", "pass/install", "fail/import/timeout"),
        record("0.9.0", "4.40.0", *BAD, model="another"),
    ]
    rows = compare(library, records)
    kinds = {(row.lmdeploy, row.transformers): row.kind for row in rows}
    assert kinds == {
        ("0.9.0", "4.41.0"): "false alarm",
        ("0.9.0", "4.42.0"): "right",
        ("0.9.0", "4.43.0"): "miss",
        ("0.9.0", "4.44.0"): "unknown",
        ("0.9.1", "4.40.0"): "right",
        ("0.9.1", "4.42.0"): "unknown",
    }
    assert truth.summary(rows) == {
        "pairs": 6,
        "hard_failures": 2,
        "right": 2,
        "misses": 1,
        "false_alarms": 1,
        "unknown": 2,
    }


def test_a_climb_that_wanted_a_checkpoint_refutes_nothing(library: Library) -> None:
    blocked = ("pass/resolve", "pass/import", "blocked/configure/weights-missing-or-corrupt")
    rows = compare(library, [record("0.9.0", "4.41.0", *blocked), record("0.9.0", "4.42.0", *blocked)])
    assert [row.kind for row in rows] == ["unknown", "right"]  # the first was foreseen to fail


def test_the_truths_matrix_is_a_valid_one(tmp_path: Path) -> None:
    path = tmp_path / truth.MATRIX
    path.write_text(truth.matrix_text(truth.Group("0.11.1", "turbomind", "canary", ("4.38.2", "5.0.0"))), "utf-8")
    load_matrix(path)


def test_the_shipped_pairs_are_enough() -> None:
    assert sum(len(group.transformers) for group in truth.read_pairs()) >= 25


def test_pairs_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    path.write_text(
        "0.11.1 4.38.2  # the log\n\n0.11.1 4.57.3\n0.18.0 5.17.0 turbomind\n0.18.0 5.17.0 pytorch another\n"
    )
    assert truth.read_pairs(path) == [
        truth.Group("0.11.1", "pytorch", "canary", ("4.38.2", "4.57.3")),
        truth.Group("0.18.0", "turbomind", "canary", ("5.17.0",)),
        truth.Group("0.18.0", "pytorch", "another", ("5.17.0",)),
    ]
    path.write_text("0.11.1 4.57.3 pytroch\n")
    with pytest.raises(truth.BadPairs, match="there is no backend 'pytroch'"):
        truth.read_pairs(path)
    path.write_text("0.11.1\n")
    with pytest.raises(truth.BadPairs, match=r"pairs:1: .* write e\.g\. 0\.11\.1 4\.57\.3"):
        truth.read_pairs(path)
    with pytest.raises(truth.BadPairs, match="cannot be read"):
        truth.read_pairs(tmp_path / "absent")

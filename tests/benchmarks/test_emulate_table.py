"""What was measured of the stage ``emulate``: the page is what the records say, and agrees with the GPU's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.emulate_table import GPU, KEPT, NOTES, PLANTED, TABLE, agree, compared, gpu_verdicts, table
from harness.core.verdict import Reason, Stage, Status, Verdict

MEASURED = ("0.9.2", "0.10.2", "0.11.1", "0.12.3", "0.13.0", "0.14.0", "0.15.0", "0.16.0", "0.17.0", "0.18.0")
RIGHT = "pass/emulate"
WRONG = "fail/emulate/wrong-answer"
GONE = "fail/import/symbol-removed-or-not-yet-added"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(KEPT.read_text("utf-8"))
    return found


def test_the_page_is_made_of_what_is_kept(rows: list[dict[str, Any]]) -> None:
    assert TABLE.read_text("utf-8") == table(rows), "run python -m benchmarks.emulate_table"


@pytest.mark.parametrize("version", MEASURED)
def test_each_version_was_emulated_with_two_transformers_and_its_control_noticed(
    rows: list[dict[str, Any]], version: str
) -> None:
    mine = [row for row in rows if row["lmdeploy"] == version and "seconds" in row]
    assert len({row["transformers"] for row in mine}) >= 2


def test_whatever_was_emulated_passed_with_its_control_noticed_or_says_why_not(rows: list[dict[str, Any]]) -> None:
    for row in (row for row in rows if "seconds" in row):
        verdict = Verdict.parse(row["verdict"])
        if verdict.status is Status.BLOCKED:
            assert verdict.stage is Stage.EMULATE
            assert verdict.detail
            continue
        assert verdict.reason is (Reason.WRONG_ANSWER if row["lmdeploy"] == "0.10.2" else None), row
        assert row["control"] > 1


def test_planted_defects_were_caught() -> None:
    planted = json.loads(PLANTED.read_text("utf-8"))
    assert planted.pop("nothing")["within"]
    assert len(planted) == 5
    assert not any(values["within"] for values in planted.values())


def test_one_line_cures_0_10_2() -> None:
    found = json.loads(NOTES.read_text("utf-8"))
    assert [values["outcome"] for values in found.values()] == ["fail", "pass"]
    differences = found["as it is"]["largest_differences"]
    assert differences["image prefill"] < 0.05
    assert differences["image decode"] > 1


@pytest.mark.parametrize(
    ("emulated", "real", "same"),
    [
        (RIGHT, "pass", True),
        (RIGHT, "fail/see/wrong-answer", False),
        (RIGHT, "fail/structure/wrong-answer", False),
        (WRONG, "fail/see/wrong-answer", True),
        (WRONG, "pass", False),
        (GONE, GONE, True),
        (GONE, "pass", False),
        (RIGHT, GONE, False),
        (RIGHT, "fail/boot/out-of-memory", None),
        (RIGHT, "blocked/boot/driver-or-gpu-unavailable", None),
        ("blocked/emulate/platform-limits", "pass", None),
    ],
)
def test_what_agrees_with_a_gpu(emulated: str, real: str, *, same: bool | None) -> None:
    assert agree(Verdict.parse(emulated), Verdict.parse(real)) is same


def test_emulated_and_real_verdicts_agree(rows: list[dict[str, Any]]) -> None:
    if not GPU.exists():
        pytest.skip("there is no GPU reference run beside this checkout")
    told = compared(rows, gpu_verdicts(GPU))
    assert any("agrees" in words for words in told.values())
    assert not {pair: words for pair, words in told.items() if "DIFFERS" in words}

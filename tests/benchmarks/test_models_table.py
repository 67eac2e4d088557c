"""The page of architectures: what a cell shows, and that nothing red is without a cause."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import models_table
from benchmarks.models_causes import BadCauses, Causes, read_causes
from benchmarks.models_table import Stack, cell, coverage, itself, page, red, span
from harness.core.records import CheckRecord, MachineRecord, Record, StageRecord
from harness.core.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 4, tzinfo=UTC)
LISTS = {
    "0.12.3": {"pytorch": frozenset({"Qwen3ForCausalLM", "OldForCausalLM"}), "turbomind": frozenset[str]()},
    "0.18.0": {
        "pytorch": frozenset({"Qwen3ForCausalLM", "NewForCausalLM"}),
        "turbomind": frozenset({"NewForCausalLM"}),
    },
}


def record(model: str, stack: Stack, verdict: str, facts: dict[str, Any] | None = None) -> Record:
    found = Verdict.parse(verdict)
    assert found.stage is not None
    name = "backend-support" if "not among" in verdict else "emulation"
    check = CheckRecord(name=name, outcome=found.status, key="", seconds=1, facts=facts or {})
    return Record(
        id=f"{model}-{stack}",
        attempt=1,
        axes={**stack._asdict(), "model": model, "backend": "pytorch", "python": "3.11"},
        verdict=verdict,
        expected="pass",
        as_expected=None,
        stages=[StageRecord(stage=found.stage, verdict=verdict, seconds=1, checks=[check])],
        machine=MachineRecord(os="", kernel="", wsl=False, cpu="", cores=1, memory_mib=1),
        command="",
        inputs="",
        harness="",
        started=NOW,
        finished=NOW,
    )


def compared(ratio: float, *, within: bool) -> dict[str, Any]:
    return {"comparison": {"ratio": ratio, "within": within}}


OLD, NEW = Stack("0.12.3", "4.57.3"), Stack("0.18.0", "5.17.0")
WRONG = "fail/emulate/wrong-answer(logits are off)"


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (record("qwen3", NEW, "pass/emulate", compared(1.04, within=True)), "1"),
        (record("qwen2-vl", NEW, "pass/emulate", compared(5.2, within=False)), "*5.2*"),
        (
            record("deepseek-v2", NEW, "pass/emulate", {**compared(245.2, within=False), "blame": "transformers"}),
            "245 t",
        ),
        (record("glm4-moe", NEW, WRONG, compared(486.1, within=False)), "**486**"),
        (record("qwen3-next", NEW, "fail/configure/config-schema-drift(x)"), "configure"),
        (record("hy3", OLD, "fail/configure/architecture-unsupported(X is not among the architectures)"), "-"),
        (record("glm5", OLD, "fail/configure/architecture-unsupported(glm_moe_dsa)"), "configure"),
        (record("qwen", NEW, "blocked/configure/weights-missing-or-corrupt"), "?"),
        (None, ""),
    ],
)
def test_a_cell_says_how_far_off_it_is_or_where_it_ended(made: Record | None, shown: str) -> None:
    assert cell(made) == shown


CAUSES = Causes.model_validate(
    {
        "cells": [
            {
                "id": "sigmoid",
                "models": ["glm4-*"],
                "lmdeploy": ">=0.14",
                "verdict": "fail/emulate/wrong-answer*",
                "side": "lmdeploy",
                "where": "lmdeploy/x.py:1",
                "cause": "The router takes softmax.",
                "proof": "the line changed",
                "report": "Wrong router",
            }
        ],
        "itself": [
            {"models": ["phimoe"], "transformers": ">=5.20", "side": "transformers", "cause": "Another router."}
        ],
        "without": {"OldForCausalLM": "its own code"},
    }
)


def test_each_red_cell_has_its_cause_or_is_named() -> None:
    made = [
        record("glm4-moe", NEW, WRONG, compared(9, within=False)),
        record("glm4-moe", OLD, WRONG, compared(9, within=False)),
        record("hy3", OLD, "fail/configure/architecture-unsupported(X is not among the architectures)"),
    ]
    lines, missing = red(made, CAUSES)
    assert "- cells: 1: glm4-moe on 0.18.0 (5.17.0)" in lines
    assert "The router takes softmax. (`lmdeploy/x.py:1`)" in lines
    assert missing == [f"glm4-moe on 0.12.3 with 4.57.3: {WRONG}"]


def test_a_cause_that_explains_nothing_is_named() -> None:
    assert red([], CAUSES)[1] == ["the cause 'sigmoid' explains no cell; drop it"]


def test_transformers_against_itself_names_each_change() -> None:
    measured = {"text, eager attention": {"ratio": 0.01}, "text, default attention": {"ratio": 0.01}}
    changed = {"text, eager attention": {"ratio": 61.0}, "text, default attention": {"ratio": 62.0}}
    unasked = {"text, eager attention": {"ratio": 0.01}, "text, default attention": {"ratio": 7.0}}
    made = [
        record("phimoe", NEW, "pass/emulate", {"transformers_itself": measured}),
        record("phimoe", Stack("0.18.0", "5.24.0"), "pass/emulate", {"transformers_itself": changed}),
        record("gemma2", NEW, "pass/emulate", {"transformers_itself": unasked}),
    ]
    lines, missing = itself(made, CAUSES)
    assert lines[2:] == [
        "| gemma2 | **0.01, unasked 7** |  | **not explained** |",
        "| phimoe | 0.01 | **61, unasked 62** | Another router.  |",
    ]
    assert missing == ["transformers against itself: gemma2 with 5.17.0"]


def test_every_listed_architecture_has_a_miniature_or_a_reason() -> None:
    lines, missing = coverage(LISTS, {"Qwen3ForCausalLM": "qwen3"}, CAUSES)
    assert lines == [
        "| `NewForCausalLM` | from 0.18.0 | from 0.18.0 | **none, for no known reason** |",
        "| `OldForCausalLM` | up to 0.12.3 |  | none: its own code |",
        "| `Qwen3ForCausalLM` | all |  | `qwen3` |",
    ]
    assert missing == ["NewForCausalLM has neither a miniature nor a reason"]


@pytest.mark.parametrize(
    ("found", "told"), [("abc", "all"), ("", ""), ("ab", "up to b"), ("bc", "from b"), ("b", "b to b"), ("ac", "a, c")]
)
def test_versions_are_told_as_a_span(found: str, told: str) -> None:
    assert span(list(found), list("abc")) == told


def test_the_page_holds_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_table, "standing", lambda _records: {"Qwen3ForCausalLM": "qwen3"})
    text, missing = page([record("qwen3", NEW, "pass/emulate", compared(1.0, within=True))], LISTS, CAUSES)
    assert "1 cells of 1 miniatures on 1 stacks: 1 agree." in text
    assert "| qwen3 | 1 |" in text
    assert len(missing) == 2  # the cause that explains nothing, and the new architecture


def test_the_causes_that_are_kept_can_be_read() -> None:
    assert read_causes().without


@pytest.mark.parametrize(
    "text", ["cells: [", "cells: [{id: a}]", "cells: [{id: a, cause: b, side: lmdeploy, lmdeploy: x}]"]
)
def test_causes_that_cannot_be_read_are_one_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "causes.yaml"
    file.write_text(text)
    with pytest.raises(BadCauses, match=r"causes\.yaml"):
        read_causes(file)

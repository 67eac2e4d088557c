"""The page's map of architectures: what each miniature came to on each stack, and the stack to use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.core.records import CheckRecord, StageRecord
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.evidence.levels import Level
from harness.report import build_context, render_html
from tests.report.samples import record_of

if TYPE_CHECKING:
    from pydantic import JsonValue

    from harness.core.records import Record

EXTRAS: dict[str, JsonValue] = {
    "models": {
        "qwen3": {
            "title": "Qwen/Qwen3-0.6B, miniature",
            "architecture": "Qwen3ForCausalLM",
            "weights": "miniature",
            "known_models": ["Qwen3-8B", "QwQ-<b>32B"],
        },
        "canary": {"architecture": "Qwen2VLForConditionalGeneration", "weights": "canary"},
    }
}


def emulated(lmdeploy: str, transformers: str, model: str, ratio: float, status: Status = Status.PASS) -> Record:
    axes = {"python": "3.11", "lmdeploy": lmdeploy, "transformers": transformers, "backend": "pytorch", "model": model}
    verdict = Verdict(status, Stage.EMULATE, None if status is Status.PASS else Reason.WRONG_ANSWER)
    check = CheckRecord(name="emulation", outcome=status, key="0", seconds=4.0, facts={"comparison": {"ratio": ratio}})
    stage = StageRecord(stage=Stage.EMULATE, verdict=str(verdict), seconds=4.0, checks=[check])
    record = record_of(axes)
    reached = [each for each in record.stages if each.stage.position < Stage.EMULATE.position]
    ended = Verdict(Status.BLOCKED, Stage.BOOT, Reason.DRIVER_OR_GPU) if status is Status.PASS else verdict
    return record.model_copy(update={"stages": [*reached, stage], "verdict": str(ended)})


RECORDS = [
    emulated("0.18.0", "5.17.0", "qwen3", 1.02),
    emulated("0.11.1", "4.57.3", "qwen3", 0.97),
    emulated("0.18.0", "5.24.0", "qwen3", 31.0, Status.FAIL),
    emulated("0.18.0", "5.17.0", "canary", 1.0),
]


def test_a_row_tells_each_stack_the_newest_first_and_the_answer() -> None:
    told = build_context(RECORDS, generated=datetime.now(UTC), extras=EXTRAS).architectures
    assert told is not None
    assert [(each.lmdeploy, each.transformers, each.place) for each in told.stacks] == [
        ("0.18.0", "5.24.0", "pytorch, emulated"),
        ("0.18.0", "5.17.0", "pytorch, emulated"),
        ("0.11.1", "4.57.3", "pytorch, emulated"),
    ]
    (row,) = told.rows
    assert (row.architecture, row.best, row.level) == (
        "Qwen3ForCausalLM",
        ["0.18.0", "5.17.0", "pytorch"],
        Level.EMULATED,
    )
    assert [(cell.agrees, cell.ratio, cell.reason) for cell in row.cells if cell] == [
        (False, 31.0, "wrong-answer"),
        (True, 1.02, None),
        (True, 0.97, None),
    ]


def test_what_a_gpu_said_stands_beside_what_an_emulation_said_of_the_same_stack() -> None:
    record = emulated("0.18.0", "5.24.0", "qwen3", 31.0, Status.FAIL)
    machine = record.machine.model_copy(update={"gpus": ["H100"], "gpu_memory_mib": [81_559]})
    served = record_of(dict(record.axes)).model_copy(update={"machine": machine})
    context = build_context([record], elsewhere=[("lab", served)], generated=datetime.now(UTC), extras=EXTRAS)
    told = context.architectures
    assert told is not None
    assert [each.place for each in told.stacks] == ["pytorch, emulated", "pytorch, GPU"]
    assert [cell.agrees for cell in told.rows[0].cells if cell] == [False, True]


def test_without_miniatures_there_is_no_map() -> None:
    context = build_context(RECORDS[-1:], generated=datetime.now(UTC), extras=EXTRAS)
    assert context.architectures is None
    page = render_html(context)
    assert 'id="models"' not in page
    assert 'href="#models"' not in page


def test_the_page_says_that_it_is_emulated_and_what_a_miniature_does_not_show() -> None:
    page = render_html(build_context(RECORDS, generated=datetime.now(UTC), extras=EXTRAS))
    assert "<strong>Emulated</strong>" in page
    assert "nothing of speed, memory, long contexts" in page
    assert "pytorch, emulated, 0.18.0 \N{MULTIPLICATION SIGN} 5.17.0: agrees; error 1.02 times" in page
    assert "QwQ-&lt;b&gt;32B" in page

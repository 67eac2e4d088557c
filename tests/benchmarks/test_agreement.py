"""The page of emulated against real: when two verdicts say the same, and that a difference needs its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.agreement import Pair, cell, page, pairs, told
from benchmarks.models_causes import Causes
from tests.benchmarks.test_models_table import NEW, OLD, compared, record

if TYPE_CHECKING:
    from harness.core.records import Record

WRONG = "fail/emulate/wrong-answer(logits of prefill)"
ON_GPU = "fail/structure/wrong-answer(logits 487 times)"


def real(model: str, verdict: str, ratio: float | None = None, **more: Any) -> Record:
    facts = {} if ratio is None else {"numbers": {"ratio": ratio}}
    made = record(model, NEW, verdict if verdict != "pass" else "pass/structure", facts)
    return made.model_copy(update={"verdict": verdict, "tags": ["miniatures"], **more})


def emulated(model: str, verdict: str, ratio: float | None = None, facts: dict[str, Any] | None = None) -> Record:
    return record(model, NEW, verdict, {**(compared(ratio, within=ratio < 2) if ratio else {}), **(facts or {})})


IMAGE_WRONG = {
    "emulated_see": {"image": True},
    "compared_structure": {"prefill": {"within": True}, "decode": {"within": True}},
}


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (emulated("a", "pass/emulate", 0.9), real("a", "pass", 0.84), "0.9, 0.84"),
        (emulated("a", WRONG, 504), real("a", ON_GPU, 487), "**504**, **487**"),
        (emulated("a", "pass/emulate", 0.95), real("a", ON_GPU, 57), "0.95, **57** ≠"),
        (emulated("a", WRONG, 142, IMAGE_WRONG), real("a", "pass", 1.1), "**142**, 1.1 (image aside)"),
        (emulated("a", WRONG, 142), real("a", "pass", 1.1), "**142**, 1.1 ≠"),
        (emulated("a", "fail/emulate/unknown(X)"), real("a", "fail/boot/unknown(X)"), "emulate, boot"),
        (emulated("a", "fail/configure/unknown(X)"), real("a", "fail/boot/unknown(X)"), "configure, boot ≠"),
        (emulated("a", "fail/emulate/unknown(X)"), real("a", "fail/boot/unknown(Y)"), "emulate, boot ≠"),
        (emulated("a", "fail/emulate/unknown(X)"), real("a", ON_GPU, 3), "emulate, **3** ≠"),
    ],
)
def test_two_verdicts_say_the_same_or_are_marked(one: Record, other: Record, shown: str) -> None:
    assert cell(Pair(one, other)) == shown


def test_a_cell_is_one_of_which_both_learned_something() -> None:
    settings = {**real("a", "pass", 1).axes, "engine": "tp=2"}
    made = [emulated("a", "pass/emulate", 1), emulated("b", "blocked/preprocess/weights-missing-or-corrupt")]
    on_a_gpu = [real("a", "pass", 1), real("b", "pass", 1), real("a", ON_GPU, 9, axes=settings)]
    assert [(pair.model, pair.agree) for pair in pairs(made, on_a_gpu)] == [("a", True)]
    assert pairs([record("a", OLD, "pass/emulate", compared(1, within=True))], on_a_gpu) == []


def test_a_difference_without_a_reason_and_a_reason_without_a_difference_are_named() -> None:
    found = pairs(
        [emulated("llama4", "pass/emulate", 0.95), emulated("glm4-moe", WRONG, 504), emulated("hy3", WRONG, 1.9)],
        [real("llama4", ON_GPU, 57), real("glm4-moe", ON_GPU, 487), real("hy3", "pass", 0.8)],
    )
    causes = Causes.model_validate(
        {
            "on_a_gpu": [
                {"models": ["llama4"], "side": "miniature", "cause": "A near tie.", "proof": "its margin"},
                {"models": ["glm4-moe"], "side": "lmdeploy", "cause": "Nothing differs here."},
            ]
        }
    )
    text, missing, unused = page(found, causes)
    assert "llama4 on 0.18.0 with 5.17.0: emulated `pass/emulate`, on the GPU `fail/structure/wrong-answer`" in text
    assert "A near tie. Shown by: its margin" in text
    assert text.rstrip().endswith("glm4-moe on 0.18.0 with 5.17.0: **504**, **487**")
    assert [each.split()[:3] for each in missing] == [["not", "explained:", "hy3"]]
    assert unused == ["explains no cell; drop it: Nothing differs here."]
    assert told(found).endswith("1 say the same (1 wrong without an error), 2 do not.")

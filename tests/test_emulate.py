"""The stage ``emulate``: whom it concerns, what ends it, and its stand-ins. The real thing is in test_emulate_real."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness import checks
from harness.checks import ASKED_STAGES, CHECKS, Needs, is_emulated
from harness.models import Quantisation
from harness.probes import emulate, emulate_stand_ins
from harness.probes.events import Blocked, Events, Failed
from harness.probes.start import CHECKS as PROBED
from harness.questions import limits_of
from harness.verdict import Stage
from tests.probing import install, request_for, results, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.models import ModelSpec


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(str(tmp_path / "events.jsonl"))


# --- whom it concerns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "gpus", "emulated"),
    [
        ("canary", (), True),
        ("canary", ("a card",), False),
        ("canary-gptq", (), False),
        ("qwen2-vl-2b-instruct", (), False),
    ],
)
def test_the_trained_canary_is_emulated_where_there_is_no_gpu(
    model: str, gpus: tuple[str, ...], *, emulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "machine", lambda: SimpleNamespace(gpus=gpus))
    assert is_emulated(shipped(model)) is emulated


def shipped(model: str) -> ModelSpec:
    from harness.models import load_models  # noqa: PLC0415 - only these tests read the shipped specs

    return load_models(Path(__file__).parent.parent / "models")[model]


def test_it_stands_between_preprocess_and_boot_and_is_asked_once_for_each_lock_and_checkpoint() -> None:
    place = ASKED_STAGES.index(Stage.EMULATE)
    assert ASKED_STAGES[place - 1 : place + 2] == (Stage.PREPROCESS, Stage.EMULATE, Stage.BOOT)
    (check,) = [check for check in CHECKS if Stage.EMULATE in check.stages]
    assert check.needs is Needs.CHECKPOINT
    assert PROBED[check.name][0] == "emulate"
    assert limits_of(SimpleNamespace(timeouts={}), Stage.EMULATE).wall > 180  # type: ignore[arg-type]


def test_four_bits_are_another_question() -> None:
    assert shipped("canary-awq").quantisation is Quantisation.AWQ_INT4
    assert not is_emulated(shipped("canary-awq"))


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], str]:
    """Runs the check with the given thing in place of the model; what it said."""

    def asked(what: Callable[[], None]) -> str:
        monkeypatch.setattr(emulate_stand_ins, "prepare", lambda: None)
        monkeypatch.setattr(emulate_stand_ins, "install", list)
        monkeypatch.setattr(emulate, "versions", dict)
        monkeypatch.setattr(emulate, "passed", lambda *_: what())
        emulate.emulate(request_for(tmp_path), events)
        return str(written(events)[-1]["message"])

    return asked


def test_a_pass_says_that_it_is_emulated(events: Events, run: Callable[[Callable[[], None]], str]) -> None:
    assert "emulated on the CPU" in run(lambda: None)
    assert results(events) == [("emulate", "pass", None)]


def test_a_kernel_that_the_interpreter_cannot_run_blocks(
    events: Events, run: Callable[[Callable[[], None]], str]
) -> None:
    raising = "def run():\n    raise TypeError('no such operation')\n"
    inside: dict[str, Any] = {"__name__": "triton.runtime.interpreter"}
    exec(compile(raising, "interpreter.py", "exec"), inside)  # noqa: S102 - a frame of that module
    assert "no such operation" in run(inside["run"])
    assert results(events) == [("emulate", "blocked", "platform-limits")]


def test_any_other_error_is_a_failure(events: Events, run: Callable[[Callable[[], None]], str]) -> None:
    def raising() -> None:
        raise KeyError("model.visual")

    assert "model.visual" in run(raising)
    assert results(events) == [("emulate", "fail", None)]


def test_without_a_checkpoint_it_is_blocked(events: Events, tmp_path: Path) -> None:
    request = request_for(tmp_path)
    emulate.emulate(replace(request, model=replace(request.model, folder=None)), events)
    assert results(events) == [("emulate", "blocked", "weights-missing-or-corrupt")]


class Rows(list[int]):
    """Logits of so many positions, as far as the comparison's bookkeeping goes."""

    def __getitem__(self, place: Any) -> Any:
        return Rows(super().__getitem__(place))


def test_a_difference_fails_and_names_where(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(mine: Rows, _theirs: Rows) -> dict[str, Any]:
        found = {"nan": False, "largest_difference": 9.8, "at_position": 1, "largest_allowed": 0.08}
        return {**found, "typical_difference": 0.8, "typical_allowed": 0.007, "within": len(mine) == 3}

    monkeypatch.setattr(emulate, "compared", compared)
    told: Any = SimpleNamespace(logits=Rows(range(5)), prompt_length=3)
    with pytest.raises(Failed, match=r"image prompt differ from transformers' in decode: 9\.8 at position 1"):
        emulate.require_agreement("see", told, Rows(range(5)), events)


def test_a_control_that_nobody_notices_blocks(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    import contextlib  # noqa: PLC0415 - for this test's engine

    monkeypatch.setattr(emulate, "compared", lambda *_: {"within": True})
    engine: Any = SimpleNamespace(
        prompt=lambda _question: ([1], None),
        prefill=lambda _question: None,
        one_projection_zeroed=lambda: contextlib.nullcontext("layers.0.self_attn.o_proj"),
    )
    reference: Any = SimpleNamespace(logits=lambda *_: None)
    question: Any = None
    with pytest.raises(Blocked, match="negative control went unnoticed"):
        emulate.require_control(engine, reference, question, events)


# --- stand-ins -------------------------------------------------------------------------------------------------------


def test_the_interpreter_is_chosen_before_triton_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in emulate_stand_ins.VARIABLES:
        monkeypatch.setenv(name, "as it was")
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    with pytest.raises(Blocked, match="before its interpreter"):
        emulate_stand_ins.prepare()


def test_names_bound_at_import_are_looked_up_when_they_are_called() -> None:
    def log2(_value: float) -> str:
        return "the compiler's"

    log2.__module__ = "triton.language.math"
    language = SimpleNamespace(log2=log2, exp=lambda _value: "the language's")
    late = emulate_stand_ins.late_function(language, log2)
    language.log2 = lambda _value: "the interpreter's"
    assert late(2.0) == "the interpreter's"

    def fast_expf(_value: float) -> str:
        return "the GPU's"

    fast_expf.__module__ = "triton.language.extra.cuda.libdevice"
    assert emulate_stand_ins.late_function(language, fast_expf)(1.0) == "the language's"
    assert emulate_stand_ins.late_function(language, len) is None
    assert emulate_stand_ins.late_function(language, 3) is None


class Block:
    """A block of Triton's language, as far as masks go."""

    def __init__(self, *values: bool) -> None:
        self.values = values
        self.handle = SimpleNamespace(data=SimpleNamespace(size=len(values)))

    def logical_and(self, other: Block) -> Block:
        """Element by element."""
        return Block(*(left and right for left, right in zip(self.values, other.values, strict=True)))


def test_and_between_masks_is_taken_element_by_element(monkeypatch: pytest.MonkeyPatch) -> None:
    class Transformer(ast.NodeTransformer):
        def visit_Assign(self, node: ast.Assign) -> Any:
            return node

    interpreter: Any = install(monkeypatch, "triton.runtime.interpreter", ASTTransformer=Transformer)
    install(monkeypatch, "triton.language", tensor=Block)
    assert emulate_stand_ins.elementwise_and_or()
    source = "mask = mask and window\nlazy = nothing and 1 / 0\nchosen = nothing or 5"
    rewritten = ast.fix_missing_locations(Transformer().visit(ast.parse(source)))
    names: dict[str, Any] = {**vars(interpreter), "nothing": None}
    names.update(mask=Block(True, False, True), window=Block(True, True, False))
    exec(compile(rewritten, "kernel.py", "exec"), names)  # noqa: S102 - what the interpreter does with a kernel
    assert names["mask"].values == (True, False, False)
    assert names["lazy"] is None
    assert names["chosen"] == 5

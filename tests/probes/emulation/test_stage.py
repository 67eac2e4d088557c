"""The stage ``emulate``: whom it concerns, what ends it, and its stand-ins. The real thing is in tests.real."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.verdict import Stage, Verdict
from harness.engines import CHECKS, Needs
from harness.matrix import Backend, Launch
from harness.matrix.models import Quantisation
from harness.pipeline import checks
from harness.pipeline.checks import ASKED_STAGES, is_emulated
from harness.pipeline.limits import limits_of
from harness.pipeline.stages import Pipeline
from harness.probes.emulation import passes, stage, stand_ins
from harness.probes.running.events import Blocked, Events
from harness.probes.smoke.comparison import in_words
from harness.probes.smoke.question import Reply
from harness.session import plan as plan_module
from tests import ROOT
from tests.probes.samples import install, request_for, results, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.matrix.models import ModelSpec


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
    from harness.matrix.model_files import load_models  # noqa: PLC0415 - only these tests read the shipped specs

    return load_models(ROOT / "models")[model]


def test_it_stands_between_preprocess_and_boot_and_is_asked_once_for_each_lock_and_checkpoint() -> None:
    place = ASKED_STAGES.index(Stage.EMULATE)
    assert ASKED_STAGES[place - 1 : place + 2] == (Stage.PREPROCESS, Stage.EMULATE, Stage.BOOT)
    (check,) = [check for check in CHECKS.values() if Stage.EMULATE in check.stages]
    assert check.needs is Needs.CHECKPOINT
    assert limits_of(SimpleNamespace(timeouts={}), Stage.EMULATE).wall > 180  # type: ignore[arg-type]


def test_four_bits_are_another_question() -> None:
    assert shipped("canary-awq").quantisation is Quantisation.AWQ_INT4
    assert not is_emulated(shipped("canary-awq"))


@pytest.mark.parametrize(
    ("stage", "verdict", "launch", "goes_on"),
    [
        (Stage.EMULATE, "blocked/emulate/platform-limits", Launch.LIBRARY, False),
        (Stage.EMULATE, "blocked/emulate/platform-limits", Launch.NO_BACKEND_CONFIG, True),
        (Stage.EMULATE, "fail/emulate/wrong-answer", Launch.NO_BACKEND_CONFIG, False),
        (Stage.PREPROCESS, "blocked/preprocess/platform-limits", Launch.NO_BACKEND_CONFIG, False),
    ],
)
def test_where_it_cannot_be_run_other_ways_of_starting_are_still_tried(
    stage: Stage, verdict: str, launch: Launch, *, goes_on: bool
) -> None:
    combination: Any = SimpleNamespace(launch=launch, backend=Backend.PYTORCH)
    nothing: Any = None
    climb = Pipeline(combination, nothing, nothing, nothing, on_stage=lambda _stage: None)
    assert climb.goes_on(stage, Verdict.parse(verdict)) is goes_on


def test_the_plan_says_emulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "machine", lambda: SimpleNamespace(gpus=()))
    monkeypatch.setattr(plan_module, "machine", lambda: SimpleNamespace(gpus=()))
    monkeypatch.setattr(plan_module, "ask", lambda *_: SimpleNamespace(failure=None, lock=None))
    resolver: Any = None
    combination: Any = SimpleNamespace(
        id="mine", excluded=None, python="3.11", backend=Backend.PYTORCH, model="canary", launch=Launch.LIBRARY
    )
    environments: Any = None
    plan = plan_module.make_plan(
        [combination],
        {"canary": shipped("canary")},
        resolver=resolver,
        environments=environments,
        weights=tmp_path,
        known={},
        jobs=1,
    )
    assert list(plan.counts()) == ["as far as boot, emulated on the CPU before it"]


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], str]:
    """Runs the check with the given thing in place of the model; what it said."""

    def asked(what: Callable[[], None]) -> str:
        monkeypatch.setattr(stand_ins, "prepare", lambda: None)
        monkeypatch.setattr(stage, "versions", dict)

        def judged(*_: Any) -> list[str]:
            what()
            return []

        monkeypatch.setattr(stage, "judged", judged)
        stage.emulate(request_for(tmp_path), events)
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


def test_what_the_emulation_itself_raises_blocks(events: Events, run: Callable[[Callable[[], None]], str]) -> None:
    raising = "def run():\n    raise TypeError('__init__() missing an argument')\n"
    inside: dict[str, Any] = {"__name__": "harness.probes.emulation.sequence"}
    exec(compile(raising, "emulate_sequence.py", "exec"), inside)  # noqa: S102 - a frame of that module
    assert run(inside["run"]).startswith("the emulation does not fit this version: TypeError: __init__()")
    assert results(events) == [("emulate", "blocked", "platform-limits")]


def test_what_a_stand_in_has_no_answer_to_blocks(events: Events, run: Callable[[Callable[[], None]], str]) -> None:
    stream = stand_ins.Assumed(cuda_stream=0)
    assert getattr(stream, "device", "unknown") == "unknown"
    assert "has no answer to 'priority'" in run(lambda: stream.priority)
    assert results(events) == [("emulate", "blocked", "platform-limits")]


def test_a_model_that_needs_cuda_code_blocks(events: Events, run: Callable[[Callable[[], None]], str]) -> None:
    def raising() -> None:
        raise AssertionError("DeepSeek-V3.2 requires flash_mla to be available.")

    assert run(raising).startswith("flash_mla has CUDA code")
    assert results(events) == [("emulate", "blocked", "platform-limits")]


def test_any_other_error_is_a_failure(events: Events, run: Callable[[Callable[[], None]], str]) -> None:
    def raising() -> None:
        raise KeyError("model.visual")

    assert "model.visual" in run(raising)
    assert results(events) == [("emulate", "fail", None)]


def test_without_a_checkpoint_it_is_blocked(events: Events, tmp_path: Path) -> None:
    request = request_for(tmp_path)
    stage.emulate(replace(request, model=replace(request.model, folder=None)), events)
    assert results(events) == [("emulate", "blocked", "weights-missing-or-corrupt")]


class Model:
    """An emulated engine and its reference that answer as they are told."""

    def __init__(self, answers: dict[bool, str]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.zeroed = False
        self.fickle = False
        self.experts = False
        self.emulated = SimpleNamespace(made_up=["the scheduler"], never_written=["lm_head.weight"])

    def ask(self, question: Any) -> Any:
        """One answer, in one token."""
        self.asked.append(question.text)
        reply = Reply(self.answers[question.image is not None], new_tokens=1)
        answer = [len(self.asked), 7] if self.fickle else [7, 7]
        ids = {"ids": [1, 2], "reference_ids": [1, 2]}
        return SimpleNamespace(**ids, reply=reply, answer=answer, prompt_length=1, logits=Rows([1, 2]))

    def prefill(self, _ids: Any) -> Any:
        """What the control compares."""
        return Rows([3])

    def logits(self, _ids: Any, _question: Any = None) -> Any:
        """What the passes compare."""
        return Rows([1, 2])

    own_float16 = logits

    @contextlib.contextmanager
    def one_projection_zeroed(self) -> Iterator[str]:
        """Note that it was asked for."""
        self.zeroed = True
        yield "layers.0.self_attn.o_proj"


@pytest.fixture
def judged(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[bool, str], dict[str, bool]], Model]:
    """Runs the whole check on a model with these answers, and comparisons of the logits that end as told."""

    def asked(
        answers: dict[bool, str],
        within: dict[str, bool],
        *,
        fickle: bool = False,
        small: bool = False,
        blame: str = "engine",
    ) -> Model:
        model = Model(answers)
        model.fickle = fickle

        def compared(mine: Rows, *_: Any, experts: bool) -> dict[str, Any]:
            assert not experts
            return found(within=within["control" if mine == [3] else "passes"], small=small)

        monkeypatch.setattr(stand_ins, "prepare", lambda: None)
        monkeypatch.setattr(stand_ins, "install", lambda: ["a driver"])
        for place in (stage, passes):
            monkeypatch.setattr(place, "compared", compared)
        monkeypatch.setattr(passes, "smoke_image", lambda _drawn: "an image")
        for name, value in {
            "late_names": list,
            "versions": dict,
            "named_folder": lambda *_: "",
            "spare_the_collector": lambda: None,
            "Reference": lambda *_: model,
            "EmulatedEngine": lambda *_: model,
            "Kept": lambda _folder: SimpleNamespace(against=lambda _: {}, blame=lambda *_: blame),
            "where_off": lambda *_: {"first_off": "layers.0"},
        }.items():
            monkeypatch.setattr(stage, name, value)
        stage.emulate(request_for(tmp_path), events)
        return model

    return asked


RIGHT = {True: "red blue", False: '{"a": "red"}'}


def test_right_answers_equal_logits_and_a_noticed_control_pass(events: Events, judged: Any) -> None:
    judged(RIGHT, {"passes": True, "control": False})
    assert results(events) == [("emulate", "pass", None)]
    facts = {each["name"]: each["value"] for each in written(events) if each["event"] == "fact"}
    assert facts["stand_ins"]["replaced"] == ["a driver"]
    assert facts["stand_ins"]["made_up"] == ["the scheduler"]
    assert facts["never_written"] == ["lm_head.weight"]
    assert facts["control"]["noticed"]
    assert facts["comparison"]["ratio"] == 42.0


def test_a_small_difference_that_leaves_the_tokens_is_told_and_passes(events: Events, judged: Any) -> None:
    judged(RIGHT, {"passes": False, "control": False}, small=True)
    assert results(events) == [("emulate", "pass", None)]
    assert "same tokens, but logits of see, prefill: 42 times" in written(events)[-1]["message"]


def test_where_transformers_is_what_changed_the_engine_is_right(events: Events, judged: Any) -> None:
    judged(RIGHT, {"passes": False, "control": False}, blame="transformers")
    assert results(events) == [("emulate", "pass", None)]
    assert "transformers does not" in written(events)[-1]["message"]


def test_an_answer_that_does_not_come_again_fails(events: Events, judged: Any) -> None:
    judged(RIGHT, {"passes": True, "control": False}, fickle=True)
    assert results(events) == [("emulate", "fail", "wrong-answer")]
    assert "not-reproducible: answered [1, 7], then [2, 7]" in written(events)[-1]["message"]


@pytest.mark.parametrize("seen", [True, False])
def test_a_control_that_nobody_notices_blocks_whatever_was_seen(events: Events, judged: Any, *, seen: bool) -> None:
    judged(RIGHT, {"passes": seen, "control": True})
    assert results(events) == [("emulate", "blocked", "unknown")]
    assert "control went unnoticed" in written(events)[-1]["message"]


@pytest.mark.parametrize(
    ("answers", "within"),
    [(RIGHT, False), ({**RIGHT, True: "blue red"}, True), ({**RIGHT, False: "no idea"}, True)],
    ids=["logits", "see", "structure"],
)
def test_a_failing_run_has_its_control_too(
    events: Events, judged: Any, answers: dict[bool, str], *, within: bool
) -> None:
    model = judged(answers, {"passes": within, "control": False})
    assert model.zeroed
    assert results(events) == [("emulate", "fail", "wrong-answer")]
    assert model.asked[2] == "JSON of red blue"  # pass 2 is asked about the right text


class Rows(list[int]):
    """Logits of so many positions, as far as the comparison's bookkeeping goes; the first choice is always 7."""

    def argmax(self, *, dim: int) -> Rows:
        """One choice for each position."""
        assert dim == -1
        return Rows(7 for _ in self)

    def tolist(self) -> list[int]:
        """As it is."""
        return list(self)

    def __getitem__(self, place: Any) -> Any:
        return Rows(super().__getitem__(place))


def found(*, within: bool, small: bool = False) -> dict[str, Any]:
    """What a comparison says."""
    numbers = {"ratio": 42.0, "largest_difference": 9.8, "largest_logit": 20.0, "at_position": 1}
    counts = {"positions": 2, "same_first_choice": 2, "far_positions": 0}
    return {**numbers, **counts, "nan": False, "relative_difference": 0.3, "within": within, "small": within or small}


def test_a_difference_names_its_part_and_its_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "compared", lambda mine, *_, experts: found(within=len(mine) == 3 and not experts))
    told: Any = SimpleNamespace(logits=Rows(range(5)), prompt_length=3, reference_ids=list(range(5)), answer=[7, 7, 7])
    reference: Any = SimpleNamespace(logits=lambda *_: Rows(range(5)), own_float16=lambda *_: None, experts=False)
    question: Any = None
    rows, same = passes.logits_of("see", told, question, reference)
    assert same
    prefill, decode = (each.compared(experts=reference.experts) for each in rows)
    assert (prefill["part"], prefill["within"]) == ("prefill", True)
    assert (decode["part"], decode["within"]) == ("decode", False)
    assert in_words(decode).startswith("42 times what float16 costs transformers itself (1.7 allowed), at most 9.8")


@pytest.mark.parametrize(
    ("prompt_within", "again", "within"),
    [(True, 1.2, True), (True, 1.0, False), (False, 1.2, False)],
    ids=["as its own prefill", "otherwise", "prompt off"],
)
def test_decoding_after_a_tie_is_right_where_it_is_as_the_engines_own_prefill(
    monkeypatch: pytest.MonkeyPatch, prompt_within: bool, again: float, within: bool
) -> None:
    np = pytest.importorskip("numpy")
    install(monkeypatch, "torch", cat=np.concatenate)
    theirs, mine, own = (np.full((2, 4), value) for value in (1.0, 1.2, 1.05))
    rows = [passes.Rows("see", "decode", mine, theirs, own)]
    prefilled: list[list[int]] = []

    def prefill(ids: list[int], _multimodals: Any) -> Any:
        prefilled.append(ids)
        return np.concatenate([np.zeros((3, 4)), np.full((2, 4), again)])

    engine: Any = SimpleNamespace(prefill=prefill)
    told: Any = SimpleNamespace(ids=[1, 2, 3, 4, 5], multimodals=None, prompt_length=3)
    parts: list[dict[str, Any]] = [
        {"part": "prefill", "within": prompt_within},
        rows[0].compared(experts=True),
    ]
    assert not parts[1]["within"]
    passes.excuse_decoding(parts, rows, [told], engine)
    assert parts[1]["within"] is within
    assert prefilled == ([told.ids] if prompt_within else [])


# --- stand-ins -------------------------------------------------------------------------------------------------------


def test_the_interpreter_is_chosen_before_triton_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in stand_ins.VARIABLES:
        monkeypatch.setenv(name, "as it was")
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    with pytest.raises(Blocked, match="before its interpreter"):
        stand_ins.prepare()

"""The stage ``emulate``: the engine's arithmetic against transformers', and the canary's two passes, on the CPU."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any, Dict

from . import emulate_stand_ins as stand_ins
from .emulate_engine import EmulatedEngine, Told
from .emulate_reference import Reference, compared
from .events import Blocked, Failed
from .imports import versions
from .judge import REASON as WRONG_ANSWER
from .judge import judge
from .model_folder import named_folder
from .two_pass import Question, smoke_image, stage_facts

if TYPE_CHECKING:
    from .events import Events
    from .request import Request

PASSES = {"see": "image", "structure": "text"}
"""The two passes, and what their prompts are made of."""


def emulate(request: Request, events: Events) -> None:
    """Answer the stage; facts: stand-ins, differences from transformers, answers, the control, seconds."""
    with events.answering("emulate") as answer:
        if request.model.folder is None:
            raise Blocked("no checkpoint of this model is on this machine", "weights-missing-or-corrupt")
        stand_ins.prepare()
        replaced = stand_ins.install()
        events.fact("versions", versions())
        try:
            passed(request, events, replaced)
        except Exception as error:
            if not in_the_interpreter(error):
                raise
            raise Blocked(
                f"Triton's interpreter cannot run this version's kernels: {error}", stand_ins.UNEMULATED
            ) from error
        answer.message = "emulated on the CPU: says nothing of the GPU, the scheduler or speed"


def passed(request: Request, events: Events, replaced: Any) -> None:
    """Run everything; returns when all of it is right.

    Raises:
        Failed: logits or answers are not what they should be.
        Blocked: the negative control went unnoticed, so nothing that was seen counts.
    """
    threads = request.options.get("threads")
    if threads:
        importlib.import_module("torch").set_num_threads(int(threads))
    seconds: Dict[str, float] = {}
    started = time.perf_counter()
    folder = named_folder(request, events)
    reference = Reference(str(request.model.folder), request.model.architecture)
    engine = EmulatedEngine(request, folder, reference, events)
    events.fact("stand_ins", {"used": True, "replaced": replaced, "looked_up_late": stand_ins.late_names()})
    seconds["load"] = round(time.perf_counter() - started, 3)
    questions: Dict[str, Question] = {}
    said = ""
    for name in PASSES:
        asked = request.model.smoke[name]
        image = smoke_image(request.model.smoke["image"]) if name == "see" else None
        questions[name] = Question(str(asked["prompt"]).replace("{answer}", said), int(asked["max_new_tokens"]), image)
        told = engine.ask(questions[name])
        said = told.reply.text
        seconds[name] = round(told.reply.total_seconds, 3)
        events.fact(f"emulated_{name}", stage_facts(questions[name], [told.reply]))
        require_agreement(name, told, reference.logits(told.ids, questions[name]), events)
        judged = judge([said], asked["judge"], asked.get("expected"), nan=told.reply.nan)
        if not judged.right:
            raise Failed(f"emulated {name}, {judged.kind}: {judged.message}", WRONG_ANSWER)
    require_control(engine, reference, questions["structure"], events)
    events.fact("seconds", {**seconds, "total": round(time.perf_counter() - started, 3)})


def require_agreement(name: str, told: Told, theirs: Any, events: Events) -> None:
    """Compare the prompt's positions and the answer's with transformers.

    Raises:
        Failed: they differ by more than float16 explains.
    """
    parts = {"prefill": slice(0, told.prompt_length), "decode": slice(told.prompt_length, None)}
    found = {part: compared(told.logits[rows], theirs[rows]) for part, rows in parts.items() if len(theirs[rows])}
    kind = PASSES[name]
    events.fact(f"compared_{kind}", found)
    wrong = [part for part, values in found.items() if not values["within"]]
    if wrong:
        values = found[wrong[0]]
        what = "NaN" if values["nan"] else f"{values['largest_difference']:.3g} at position {values['at_position']}"
        raise Failed(
            f"logits of the {kind} prompt differ from transformers' in {' and '.join(wrong)}: {what}, "
            f"{values['largest_allowed']:.3g} allowed; {values['typical_difference']:.3g} in the mean square, "
            f"{values['typical_allowed']:.3g} allowed",
            WRONG_ANSWER,
        )


def require_control(engine: EmulatedEngine, reference: Reference, question: Question, events: Events) -> None:
    """Zero one projection: the comparison has to notice.

    Raises:
        Blocked: it did not.
    """
    events.progress("negative control")
    ids, _ = engine.prompt(question)
    theirs = reference.logits(ids, question)
    with engine.one_projection_zeroed() as name:
        found = compared(engine.prefill(question), theirs)
    events.fact("control", {"zeroed": name, "noticed": not found["within"], **found})
    if found["within"]:
        raise Blocked(f"the negative control went unnoticed: {name} was zero, and nothing counts", "unknown")


def in_the_interpreter(error: BaseException) -> bool:
    """Whether Triton's interpreter raised it while it ran a kernel."""
    link = error.__traceback__
    while link is not None:
        if link.tb_frame.f_globals.get("__name__") == "triton.runtime.interpreter":
            return True
        link = link.tb_next
    return False

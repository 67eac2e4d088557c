"""The stage ``emulate``: the engine's arithmetic against transformers', and the canary's two passes, on the CPU."""

from __future__ import annotations

import gc
import importlib
import time
from typing import TYPE_CHECKING, Any, Dict, List

from ..engines.imports import versions
from ..engines.model_folder import named_folder
from ..running.events import Blocked, Decided, Failed
from ..smoke.judge import REASON as WRONG_ANSWER
from ..smoke.judge import judge
from ..smoke.question import Question, smoke_image, stage_facts
from . import stand_ins
from .engine import EmulatedEngine, Told
from .reference import Reference, compared

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request

PASSES = {"see": "image", "structure": "text"}
"""The two passes, and what their prompts are made of."""
OWN = f"{__package__}."
INTERPRETER = "triton.runtime.interpreter"


def emulate(request: Request, events: Events) -> None:
    """Answer the stage; facts: stand-ins, differences from transformers, answers, the control, seconds."""
    with events.answering("emulate") as answer:
        if request.model.folder is None:
            raise Blocked("no checkpoint of this model is on this machine", "weights-missing-or-corrupt")
        stand_ins.prepare()
        try:
            events.fact("versions", versions())
            judged(request, events)
        except Decided:
            raise
        except Exception as error:
            why = unemulated(error)
            if why is None:
                raise
            raise Blocked(f"{why}: {type(error).__name__}: {error}", stand_ins.UNEMULATED) from error
        answer.message = "emulated on the CPU: says nothing of the GPU, the scheduler or speed"


def judged(request: Request, events: Events) -> None:
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
    generation = stand_ins.generation_of(request.lmdeploy)
    replaced = stand_ins.install(generation)
    folder = named_folder(request, events)
    reference = Reference(str(request.model.folder), request.model.architecture)
    engine = EmulatedEngine(request, folder, reference, events, generation)
    names = {"replaced": replaced, "looked_up_late": stand_ins.late_names(), "made_up": list(generation.made_up)}
    events.fact("stand_ins", {"used": True, "generation": generation.name, **names})
    spare_the_collector()
    seconds["load"] = round(time.perf_counter() - started, 3)
    wrong: List[str] = []
    said = ""
    for name in PASSES:
        asked = request.model.smoke[name]
        image = smoke_image(request.model.smoke["image"]) if name == "see" else None
        question = Question(str(asked["prompt"]).replace("{answer}", said), int(asked["max_new_tokens"]), image)
        told = engine.ask(question)
        seconds[name] = round(told.reply.total_seconds, 3)
        events.fact(f"emulated_{name}", stage_facts(question, [told.reply]))
        wrong += disagreement(name, told, reference.logits(told.ids, question), events)
        found = judge([told.reply.text], asked["judge"], asked.get("expected"), nan=told.reply.nan)
        if not found.right:
            wrong.append(f"emulated {name}, {found.kind}: {found.message}")
        # what pass 2 says of a wrong answer would say nothing of pass 2
        said = told.reply.text if found.right else str(asked.get("expected"))
    require_control(engine, reference, question, events)
    events.fact("seconds", {**seconds, "total": round(time.perf_counter() - started, 3)})
    if wrong:
        raise Failed("; ".join(wrong), WRONG_ANSWER)


def spare_the_collector() -> None:
    """Let the collector pass over what is loaded, and come seldom: the interpreter makes millions of small objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def disagreement(name: str, told: Told, theirs: Any, events: Events) -> List[str]:
    """Compare the prompt's positions and the answer's with transformers; where they differ by more than float16."""
    parts = {"prefill": slice(0, told.prompt_length), "decode": slice(told.prompt_length, None)}
    found = {part: compared(told.logits[rows], theirs[rows]) for part, rows in parts.items() if len(theirs[rows])}
    kind = PASSES[name]
    events.fact(f"compared_{kind}", found)
    wrong = [part for part, values in found.items() if not values["within"]]
    if not wrong:
        return []
    values = found[wrong[0]]
    what = "NaN" if values["nan"] else f"{values['largest_difference']:.3g} at position {values['at_position']}"
    message = (
        f"logits of the {kind} prompt differ from transformers' in {' and '.join(wrong)}: {what}, "
        f"{values['largest_allowed']:.3g} allowed; {values['typical_difference']:.3g} in the mean square, "
        f"{values['typical_allowed']:.3g} allowed"
    )
    return [message]


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


def unemulated(error: BaseException) -> Any:
    """Why the error says nothing of lmdeploy, only that this version is not emulated; None when it is lmdeploy's own.

    Of Triton's interpreter is what it raised while it ran a kernel; of the emulation, what its own lines raised.
    """
    modules: List[str] = []
    link = error.__traceback__
    while link is not None:
        modules.append(str(link.tb_frame.f_globals.get("__name__")))
        link = link.tb_next
    if INTERPRETER in modules:
        return "Triton's interpreter cannot run this version's kernels"
    raised_in = next((name for name in reversed(modules) if not name.startswith("importlib")), "")
    return "the emulation does not fit this version" if raised_in.startswith(OWN) else None

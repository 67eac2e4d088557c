"""The stage ``emulate``: the engine's arithmetic against transformers', and the canary's two passes, on the CPU."""

from __future__ import annotations

import gc
import importlib
import time
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from ..engines.imports import versions
from ..engines.model_folder import named_folder
from ..running.events import Blocked, Decided, Failed
from ..smoke.judge import REASON as WRONG_ANSWER
from ..smoke.judge import UNSAID, judge
from ..smoke.question import Question, smoke_image, stage_facts
from . import stand_ins
from .comparison import compared, in_words
from .engine import PROBED, EmulatedEngine, Told
from .interpreter import late_names
from .reference import Reference

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request

PASSES = ("see", "structure")
"""The first is asked twice."""
FEW = 6
"""Tokens that random weights are asked for: each takes the interpreter about as long as ten tokens of a prompt."""
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
            noted = judged(request, events)
        except Decided:
            raise
        except Exception as error:
            why = unemulated(error)
            if why is None:
                raise
            raise Blocked(f"{why}: {type(error).__name__}: {error}", stand_ins.UNEMULATED) from error
        told = ["emulated on the CPU: says nothing of the GPU, the scheduler or speed"]
        answer.message = "; ".join([*told, *(f"same tokens, but {each}" for each in noted)])


def judged(request: Request, events: Events) -> List[str]:
    """Run everything; returns when all of it is right: what is measurably different and leaves the answers the same.

    Raises:
        Failed: logits or answers are not what they should be.
        Blocked: the negative control went unnoticed, so nothing that was seen counts.
    """
    threads = request.options.get("threads")
    if threads:
        importlib.import_module("torch").set_num_threads(int(threads))
    seconds: Dict[str, float] = {}
    started = time.perf_counter()
    replaced = stand_ins.install()
    folder = named_folder(request, events)
    reference = Reference(str(request.model.folder), request.model.architecture)
    engine = EmulatedEngine(request, folder, reference, events)
    made = {"replaced": replaced, "looked_up_late": late_names(), "made_up": engine.emulated.made_up}
    events.fact("stand_ins", {"used": True, **made})
    events.fact("never_written", engine.emulated.never_written)
    spare_the_collector()
    seconds["load"] = round(time.perf_counter() - started, 3)
    wrong: List[str] = []
    noted: List[str] = []
    answers: List[bool] = []
    parts: List[Dict[str, Any]] = []
    said = ""
    for name in PASSES:
        question = asked(request, name, said)
        told = engine.ask(question)
        times = [told]
        if name == PASSES[0]:
            times.append(engine.ask(question))
        seconds[name] = round(sum(each.reply.total_seconds for each in times), 3)
        events.fact(f"emulated_{name}", stage_facts(question, [each.reply for each in times]))
        found, same = disagreement(name, told, question, reference, events)
        parts += found
        answers.append(same)
        off = [f"logits of {name}, {part['part']}: {in_words(part)}" for part in found if not part["within"]]
        # a difference that leaves the answer as it is, as between two forms of one activation, is told and no more
        small = same and all(part["within"] or part["small"] for part in found)
        (noted if small else wrong).extend(off)
        if any(each.answer != told.answer for each in times):
            wrong.append(f"emulated {name}, not-reproducible: answered {told.answer}, then {times[-1].answer}")
        right, said_next = answered(request, name, told)
        wrong += right
        # what pass 2 says of a wrong answer would say nothing of pass 2
        said = said_next
    events.fact("comparison", summary_of(parts, same_answers=all(answers)))
    require_control(engine, reference, told.ids, events)
    events.fact("seconds", {**seconds, "total": round(time.perf_counter() - started, 3)})
    if wrong:
        raise Failed("; ".join([*wrong, *noted]), WRONG_ANSWER)
    return noted


def asked(request: Request, name: str, said: str) -> Question:
    """The question of a pass; of random weights only a few tokens are asked."""
    wanted = request.model.smoke[name]
    image = smoke_image(request.model.smoke["image"]) if name == PASSES[0] else None
    most = int(wanted["max_new_tokens"])
    most = min(most, FEW) if wanted["judge"] in UNSAID else most
    return Question(str(wanted["prompt"]).replace("{answer}", said), most, image)


def answered(request: Request, name: str, told: Told) -> Tuple[List[str], str]:
    """What is wrong with the answer's words, and the words that the next pass is asked with.

    Random weights have no right answer; theirs is judged by its logits alone.
    """
    wanted = request.model.smoke[name]
    if wanted["judge"] in UNSAID:
        return [], told.reply.text
    found = judge([told.reply.text], wanted["judge"], wanted.get("expected"), nan=told.reply.nan)
    if found.right:
        return [], told.reply.text
    return [f"emulated {name}, {found.kind}: {found.message}"], str(wanted.get("expected"))


def spare_the_collector() -> None:
    """Let the collector pass over what is loaded, and come seldom: the interpreter makes millions of small objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def disagreement(
    name: str, told: Told, question: Question, reference: Reference, events: Events
) -> Tuple[List[Dict[str, Any]], bool]:
    """Compare the prompt's positions and the answer's with transformers; and whether it would answer the same."""
    theirs = reference.logits(told.ids, question)
    own = reference.own_float16(told.ids, question)
    slices = {"prefill": slice(0, told.prompt_length), "decode": slice(told.prompt_length, None)}
    found = [
        {
            "part": part,
            **compared(told.logits[rows], theirs[rows], None if own is None else own[rows], experts=reference.experts),
        }
        for part, rows in slices.items()
        if len(theirs[rows])
    ]
    same = theirs[told.prompt_length - 1 :].argmax(dim=-1).tolist() == told.answer
    events.fact(f"compared_{name}", {**{part["part"]: part for part in found}, "same_answer": same})
    return found, same


def summary_of(parts: List[Dict[str, Any]], *, same_answers: bool) -> Dict[str, Any]:
    """The comparison in a line: of the part that is furthest off."""
    worst = max(parts, key=lambda part: (not part["within"], part["ratio"]))
    return {
        "ratio": worst["ratio"],
        "largest_difference": max(part["largest_difference"] for part in parts),
        "largest_logit": max(part["largest_logit"] for part in parts),
        "relative_difference": max(part["relative_difference"] for part in parts),
        "greedy_equal": same_answers,
        "positions": sum(part["positions"] for part in parts),
        "far_positions": sum(part["far_positions"] for part in parts),
        "within": all(part["within"] for part in parts),
        "small": all(part["within"] or part["small"] for part in parts) and same_answers,
    }


def require_control(engine: EmulatedEngine, reference: Reference, ids: List[int], events: Events) -> None:
    """Zero one projection: the comparison has to notice.

    Raises:
        Blocked: it did not.
    """
    events.progress("negative control")
    few = ids[:PROBED]
    theirs = reference.logits(few)
    with engine.one_projection_zeroed() as name:
        found = compared(engine.prefill(few), theirs, reference.own_float16(few), experts=reference.experts)
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

"""The stage ``emulate``: the engine's arithmetic against transformers', and the canary's two passes, on the CPU."""

from __future__ import annotations

import gc
import importlib
import time
from typing import TYPE_CHECKING, Any, Dict, List

from ..engines.imports import versions
from ..engines.model_folder import named_folder
from ..running.events import Blocked, Decided, Failed
from ..smoke.comparison import compared
from ..smoke.judge import REASON as WRONG_ANSWER
from . import layers, stand_ins
from .engine import PROBED, EmulatedEngine
from .interpreter import late_names
from .kept import Kept
from .passes import ask_all
from .reference import Reference

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request
    from ..smoke.question import Question
    from .engine import Told
    from .passes import Found

CUDA_CODE = ("flash_mla", "deep_gemm", "deep_ep", "fast_hadamard_transform", "flash_attn_interface")
"""Packages that some models cannot do without, and that only run on a GPU."""
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
    found = ask_all(request, engine, reference, events, seconds)
    events.fact("comparison", found.summary())
    investigate(found, request, engine, reference, events)
    require_control(engine, reference, found.ids, events)
    events.fact("seconds", {**seconds, "total": round(time.perf_counter() - started, 3)})
    if found.wrong:
        raise Failed("; ".join([*found.wrong, *found.noted]), WRONG_ANSWER)
    return found.noted


def investigate(found: Found, request: Request, engine: EmulatedEngine, reference: Reference, events: Events) -> None:
    """Compare transformers with itself, and where the engine is off, say where and whose fault it is.

    Where transformers is what changed, and the engine agrees with the transformers that made the checkpoint, the engine
    is right.
    """
    kept = Kept(str(request.model.folder))
    itself = kept.against(reference)
    events.fact("transformers_itself", itself)
    if found.suspect is None:
        return
    events.progress("looking for where the numbers part")
    events.fact("layers", where_off(engine, reference, *found.suspect))
    side = kept.blame(engine, reference, itself)
    events.fact("blame", side)
    if side == "transformers":
        found.noted += [*found.wrong, "the engine agrees with the reference that was kept, transformers does not"]
        found.wrong = []


def spare_the_collector() -> None:
    """Let the collector pass over what is loaded, and come seldom: the interpreter makes millions of small objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def where_off(engine: EmulatedEngine, reference: Reference, told: Told, question: Question) -> Dict[str, Any]:
    """The first module whose numbers part, over the prompt."""
    ids, theirs = (each[: told.prompt_length] for each in (told.ids, told.reference_ids))
    return layers.where(
        lambda: engine.prefill(ids, told.multimodals),
        lambda model: reference.run(model, theirs, question),
        {"engine": engine.emulated.model, "float32": reference.model, "float16": reference.half_model},
    )


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
    package = next((name for name in CUDA_CODE if name in str(error)), None)
    if package is not None:
        return f"{package} has CUDA code, and nothing here stands for it"
    modules: List[str] = []
    link = error.__traceback__
    while link is not None:
        modules.append(str(link.tb_frame.f_globals.get("__name__")))
        link = link.tb_next
    if INTERPRETER in modules:
        return "Triton's interpreter cannot run this version's kernels"
    raised_in = next((name for name in reversed(modules) if not name.startswith("importlib")), "")
    return "the emulation does not fit this version" if raised_in.startswith(OWN) else None

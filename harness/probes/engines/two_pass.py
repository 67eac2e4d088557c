"""The smoke test: pass 1 sees the image, pass 2 is a separate, text-only request that turns pass 1's text into JSON.

Both are greedy, both are asked twice, and both are judged against what is known to be in the image. The image part
always comes before the text part; the order changes the answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ..running.events import Events, Failed
from ..smoke import kept
from ..smoke.judge import REASON as WRONG_ANSWER
from ..smoke.judge import judge
from ..smoke.question import Question, Reply, smoke_image, stage_facts
from .backend import engine_module
from .model_folder import wanted_checkpoint

if TYPE_CHECKING:
    from ..running.request import Request
    from .backend import Booted

TIMES = 2
"""How often each question is asked: once cold, and once to see whether the answer comes again."""
TIMES_ON_GPU = 6
"""Once cold, and five times warm for a median."""


def two_pass(request: Request, events: Events) -> None:
    """Boot the model, then ask both passes; one result for each of boot, see and structure that was reached."""
    engine: Optional[Booted] = None
    with events.answering("boot") as booted:
        engine = boot(request, events)
    if not booted.passed or engine is None:
        return
    try:
        times = TIMES_ON_GPU if request.engine.get("needs_gpu") else TIMES
        seen = ask_stage(engine, events, "see", request.model.smoke, times=times)
        if seen is not None:
            folder = request.model.folder
            ask_stage(engine, events, "structure", request.model.smoke, times=times, answer=seen, folder=folder)
    finally:
        events.progress("closing the engine")
        engine.close()


def boot(request: Request, events: Events) -> Booted:
    """The model on the backend that was asked for, in the way that was asked for.

    Raises:
        Blocked: this machine has no checkpoint of the model.
    """
    wanted_checkpoint(request)
    return engine_module(request.engine.get("boot") or request.backend).boot(request, events)


def ask_stage(  # noqa: PLR0913 - a pass is these
    engine: Booted,
    events: Events,
    stage: str,
    smoke: Dict[str, Any],
    *,
    times: int = TIMES,
    answer: str = "",
    folder: Optional[str] = None,
) -> Optional[str]:
    """Ask one pass several times and answer its stage; the text when it was right, else None.

    Where numbers are judged, those kept in ``folder`` are compared at the end.
    """
    with events.answering(stage):
        asked = smoke[stage]
        image = smoke_image(smoke["image"]) if stage == "see" else None
        prompt = str(asked["prompt"]).replace("{answer}", answer)
        question = Question(prompt, int(asked["max_new_tokens"]), image)
        replies: List[Reply] = []
        for turn in range(times):
            events.progress(f"{stage}: asking, {turn + 1} of {times}")
            replies.append(timed(engine, question))
        events.fact(stage, stage_facts(question, replies))
        nan = any(reply.nan for reply in replies)
        wrong = kept_numbers(engine, events, folder) if folder is not None and asked["judge"] == "logits" else []
        judged = judge([reply.text for reply in replies], asked["judge"], asked.get("expected"), nan=nan)
        if not judged.right:
            raise Failed("; ".join([*wrong, f"{judged.kind}: {judged.message}"]), WRONG_ANSWER)
        if wrong:
            raise Failed("; ".join(wrong), WRONG_ANSWER)
        return replies[0].text
    return None


def kept_numbers(engine: Any, events: Events, folder: str) -> List[str]:
    """What is wrong with the engine's numbers; facts: the comparison, or why there is none."""
    if not kept.is_kept(folder):
        events.fact("numbers", {"not_compared": "the checkpoint comes with no reference"})
        return []
    if not hasattr(engine, "logits"):
        events.fact("numbers", {"not_compared": "this way of starting shows no logits"})
        return []
    events.progress("comparing logits with the kept reference")
    found = kept.numbers(engine, folder)
    events.fact("numbers", found)
    return list(found["wrong"])


def timed(engine: Booted, question: Question) -> Reply:
    """The reply with its wall time, seconds."""
    started = time.perf_counter()
    reply = engine.ask(question)
    reply.total_seconds = reply.total_seconds or time.perf_counter() - started
    return reply

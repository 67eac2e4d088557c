"""The two passes through the emulated engine, and what is found about their answers and their logits."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from ..smoke.comparison import array, compared, in_words, measured, rms
from ..smoke.judge import UNSAID, judge
from ..smoke.question import Question, smoke_image, stage_facts

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request
    from .engine import EmulatedEngine, Told
    from .reference import Reference

PASSES = ("see", "structure")
"""The first is asked twice."""
PREFILL, DECODE = "prefill", "decode"
FEW = 3
"""Tokens that random weights are asked for: each takes the interpreter about as long as a prompt."""


@dataclass
class Rows:
    """Logits of a prompt or an answer, three times: the engine's, transformers' in float32 and in float16."""

    name: str
    part: str
    mine: Any
    theirs: Any
    own: Optional[Any]

    def compared(self, *, experts: bool) -> Dict[str, Any]:
        """How far the first are from the others."""
        return {"part": self.part, **compared(self.mine, self.theirs, self.own, experts=experts)}


@dataclass
class Found:
    """What was found out so far."""

    wrong: List[str] = field(default_factory=list)
    noted: List[str] = field(default_factory=list)
    """What is measurably different and leaves the answers the same."""
    parts: List[Dict[str, Any]] = field(default_factory=list)
    """Comparisons, one for each prompt and each answer."""
    same_answers: bool = True
    suspect: Optional[Tuple[Told, Question]] = None
    """The first pass whose logits are off."""
    ids: List[int] = field(default_factory=list)
    """Of the last pass, which has no image."""

    def summary(self) -> Dict[str, Any]:
        """The comparisons in a line: the ratio is that of the part which is furthest off."""
        worst = max(self.parts, key=lambda part: (not part["within"], part["ratio"]))
        return {
            "ratio": worst["ratio"],
            "largest_difference": max(part["largest_difference"] for part in self.parts),
            "largest_logit": max(part["largest_logit"] for part in self.parts),
            "relative_difference": max(part["relative_difference"] for part in self.parts),
            "greedy_equal": self.same_answers,
            "positions": sum(part["positions"] for part in self.parts),
            "far_positions": sum(part["far_positions"] for part in self.parts),
            "within": all(part["within"] for part in self.parts),
            "small": self.same_answers and all(part["within"] or part["small"] for part in self.parts),
        }


def ask_all(
    request: Request, engine: EmulatedEngine, reference: Reference, events: Events, seconds: Dict[str, float]
) -> Found:
    """Ask both passes and compare them with transformers."""
    found = Found()
    rows: List[Rows] = []
    answers: List[Told] = []
    said = ""
    for name in PASSES:
        question = asked(request, name, said)
        told = engine.ask(question)
        times = [told, engine.ask(question)] if name == PASSES[0] else [told]
        seconds[name] = round(sum(each.reply.total_seconds for each in times), 3)
        events.fact(f"emulated_{name}", stage_facts(question, [each.reply for each in times]))
        new, same = logits_of(name, told, question, reference)
        rows += new
        answers.append(told)
        parts = [each.compared(experts=reference.experts) for each in new]
        events.fact(f"compared_{name}", {**{part["part"]: part for part in parts}, "same_answer": same})
        off = [f"logits of {name}, {part['part']}: {in_words(part)}" for part in parts if not part["within"]]
        # a difference that leaves the answer as it is, as between two forms of one activation, is told and no more
        small = same and all(part["within"] or part["small"] for part in parts)
        if not reference.experts:
            (found.noted if small else found.wrong).extend(off)
        if off and found.suspect is None:
            found.suspect = (told, question)
        if times[-1].answer != told.answer:
            found.wrong.append(f"emulated {name}, not-reproducible: answered {told.answer}, then {times[-1].answer}")
        problem, said = answered(request, name, told)
        found.wrong += problem
        found.parts += parts
        found.same_answers = found.same_answers and same
        found.ids = told.ids
    if reference.experts:
        found.parts = both_passes(rows, events)
        excuse_decoding(found.parts, rows, answers, engine)
        found.wrong += [f"logits of {part['part']}: {in_words(part)}" for part in found.parts if not part["within"]]
        found.suspect = found.suspect if found.wrong else None
    return found


def both_passes(rows: List[Rows], events: Events) -> List[Dict[str, Any]]:
    """Both prompts together, and both answers: where experts are chosen, ties are too few in one to be counted."""
    torch = importlib.import_module("torch")
    found: List[Dict[str, Any]] = []
    for part in dict.fromkeys(each.part for each in rows):
        some = [each for each in rows if each.part == part]
        own = None if any(each.own is None for each in some) else torch.cat([each.own for each in some])
        joined = (torch.cat([each.mine for each in some]), torch.cat([each.theirs for each in some]))
        found.append(Rows("", part, *joined, own).compared(experts=True))
    events.fact("compared_both", {part["part"]: part for part in found})
    return found


def excuse_decoding(parts: List[Dict[str, Any]], rows: List[Rows], answers: List[Told], engine: EmulatedEngine) -> None:
    """Let decoding pass where it gives what the engine's own prefill of the same ids gives, and the prompts are right.

    An expert that was chosen otherwise in a prompt is seen by every token after it: no fault of decoding, and judged
    with the prompt.
    """
    by_name = {part["part"]: part for part in parts}
    decode, some = by_name.get(DECODE), [each for each in rows if each.part == DECODE]
    if decode is None or decode["within"] or not by_name[PREFILL]["within"] or any(each.own is None for each in some):
        return
    torch = importlib.import_module("torch")
    again = torch.cat([engine.prefill(told.ids, told.multimodals)[told.prompt_length :] for told in answers])
    noise = rms(array(torch.cat([each.own for each in some])) - array(torch.cat([each.theirs for each in some])))
    found = measured(torch.cat([each.mine for each in some]), again, noise, experts=False)
    decode["against_own_prefill"] = found["ratio"]
    decode["within"] = bool(found["within"])


def asked(request: Request, name: str, said: str) -> Question:
    """The question of a pass; of random weights only a few tokens are asked."""
    wanted = request.model.smoke[name]
    image = smoke_image(request.model.smoke["image"]) if name == PASSES[0] else None
    most = int(wanted["max_new_tokens"])
    most = min(most, FEW) if wanted["judge"] in UNSAID else most
    return Question(str(wanted["prompt"]).replace("{answer}", said), most, image)


def answered(request: Request, name: str, told: Told) -> Tuple[List[str], str]:
    """What is wrong with the answer's words, and the words that the next pass is asked with.

    Random weights have no right answer; theirs is judged by its logits alone. What pass 2 says of a wrong answer would
    say nothing of pass 2, so it is asked with the right one.
    """
    wanted = request.model.smoke[name]
    if wanted["judge"] in UNSAID:
        return [], told.reply.text
    found = judge([told.reply.text], wanted["judge"], wanted.get("expected"), nan=told.reply.nan)
    if found.right:
        return [], told.reply.text
    return [f"emulated {name}, {found.kind}: {found.message}"], str(wanted.get("expected"))


def logits_of(name: str, told: Told, question: Question, reference: Reference) -> Tuple[List[Rows], bool]:
    """Logits of the prompt's positions and of the answer's; and whether transformers would answer the same."""
    theirs = reference.logits(told.reference_ids, question)
    own = reference.own_float16(told.reference_ids, question)
    slices = {PREFILL: slice(0, told.prompt_length), DECODE: slice(told.prompt_length, None)}
    found = [
        Rows(name, part, told.logits[rows], theirs[rows], None if own is None else own[rows])
        for part, rows in slices.items()
        if len(theirs[rows])
    ]
    return found, theirs[told.prompt_length - 1 :].argmax(dim=-1).tolist() == told.answer

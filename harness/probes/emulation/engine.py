"""The emulated engine: answers a question greedily and keeps the logits of every position."""

from __future__ import annotations

import importlib
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple

from ..engines.preprocess import messages, preparation
from ..smoke.question import Question, Reply
from .model import EmulatedModel
from .sequence import Sequence, multimodals_of

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request
    from .reference import Reference

CONTROLLED = ("o_proj", "wo", "dense", "out_proj", "linear_attn.out_proj")
"""Names of the projection that the negative control zeroes, in the language model's first layer that has one."""
PROBED = 24
"""Tokens of a prompt that the negative control is asked with."""


@dataclass
class Told:
    """One answer with what it was chosen from."""

    reply: Reply
    ids: List[int]
    """Everything that went in, the answer's own tokens included but for the last."""
    reference_ids: List[int]
    """The same as transformers is asked: with its own token where the image is."""
    answer: List[int]
    multimodals: Any
    prompt_length: int
    logits: Any
    """One row for each of ``ids``."""


class EmulatedEngine:
    """lmdeploy's preparation of messages, its model and its kernels; the loop around them is this module's."""

    def __init__(self, request: Request, folder: str, reference: Reference, events: Events) -> None:
        self.torch = importlib.import_module("torch")
        self.emulated = EmulatedModel(request, folder)
        self.prepare = preparation(folder, request)
        self.reference = reference
        self.events = events

    def prompt(self, question: Question) -> Tuple[List[int], Any]:
        """Ids and image as the engine's scheduler would get them."""
        prepared = self.prepare(messages(question))
        ids = [int(number) for number in prepared["input_ids"]]
        return multimodals_of(self.emulated, ids, prepared.get("multimodal"))

    def ask(self, question: Question) -> Told:
        """Prefill the question and decode greedily, one token at a time."""
        ids, multimodals = self.prompt(question)
        started = time.perf_counter()
        sequence = Sequence(self.emulated, ids, multimodals)
        self.events.progress(f"prefilling {len(ids)} tokens")
        rows = [sequence.prefill()]
        first = time.perf_counter() - started
        answer: List[int] = []
        while len(answer) < question.max_new_tokens:
            token = int(rows[-1][-1].argmax())
            answer.append(token)
            if token in self.reference.stops or len(answer) == question.max_new_tokens:
                break
            self.events.progress(f"decoding token {len(answer)}")
            rows.append(sequence.decode(token))
        logits = self.torch.cat(rows)
        reply = Reply(
            text=self.reference.tokenizer.decode(answer, skip_special_tokens=True),
            prompt_tokens=len(ids),
            new_tokens=len(answer),
            first_token_seconds=first,
            total_seconds=time.perf_counter() - started,
            nan=bool(self.torch.isnan(logits).any()),
        )
        whole = ids + answer[:-1]
        theirs = with_image_token(whole, multimodals, self.reference.image_token)
        return Told(reply, whole, theirs, answer, multimodals, len(ids), logits)

    def prefill(self, ids: List[int], multimodals: Any = None) -> Any:
        """Logits of a prompt alone."""
        return Sequence(self.emulated, ids, multimodals).prefill()

    @contextmanager
    def one_projection_zeroed(self) -> Iterator[str]:
        """The same model with one projection of zeros; yields its name.

        Raises:
            LookupError: the model has no such projection.
        """
        name, weight = controlled(self.emulated.model)
        with self.torch.inference_mode():
            kept = weight.clone()
            weight.zero_()
        try:
            yield name
        finally:
            with self.torch.inference_mode():
                weight.copy_(kept)


def with_image_token(ids: List[int], multimodals: Any, token: Optional[int]) -> List[int]:
    """The ids with transformers' token at the places of images that lmdeploy marks with another one.

    LLaVA's are marked with the padding token: lmdeploy knows them by their place.
    """
    marked = list(ids)
    if token is None:
        return marked
    for item in (multimodals or {}).get("image", []):
        start, end = getattr(item, "start", None), getattr(item, "end", None)
        if start is not None and end is not None and len({*ids[start:end]}) == 1:
            marked[start:end] = [token] * (end - start)
    return marked


def controlled(model: Any) -> Tuple[str, Any]:
    """Name and weight of the projection that is zeroed.

    Raises:
        LookupError: the model has no such projection.
    """
    for name, module in model.named_modules():
        inside = not any(part in name for part in ("vis", "image", "audio"))
        if inside and name.rpartition(".")[2] in CONTROLLED:
            weight = getattr(module, "weight", None)
            weight = getattr(module, "qweight", None) if weight is None else weight
            if weight is not None:
                return name, weight
    raise LookupError(f"the model has no projection named {' or '.join(CONTROLLED)}")

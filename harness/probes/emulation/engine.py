"""The emulated engine: answers a question greedily and keeps the logits of every position."""

from __future__ import annotations

import importlib
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, List, Tuple

from ..engines.preprocess import messages, preparation
from ..smoke.question import Question, Reply
from .model import EmulatedModel
from .sequence import Sequence, multimodals_of
from .stand_ins import SCHEDULER

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request
    from .reference import Reference
    from .stand_ins import Generation

CONTROLLED = "self_attn.o_proj"
"""The projection that the negative control zeroes, in the first layer."""


@dataclass
class Told:
    """One answer with what it was chosen from."""

    reply: Reply
    ids: List[int]
    """Everything that went in, the answer's own tokens included but for the last."""
    prompt_length: int
    logits: Any
    """One row for each of ``ids``."""


class EmulatedEngine:
    """lmdeploy's preparation of messages, its model and its kernels; the loop around them is this module's."""

    def __init__(
        self, request: Request, folder: str, reference: Reference, events: Events, generation: Generation
    ) -> None:
        self.torch = importlib.import_module("torch")
        self.emulated = EmulatedModel(request, folder)
        self.prepare = preparation(folder, request)
        self.reference = reference
        self.events = events
        self.scheduled = SCHEDULER in generation.made_up

    def prompt(self, question: Question) -> Tuple[List[int], Any]:
        """Ids and image as the engine's scheduler would get them."""
        prepared = self.prepare(messages(question))
        ids = [int(number) for number in prepared["input_ids"]]
        return multimodals_of(self.emulated, ids, prepared.get("multimodal"))

    def ask(self, question: Question) -> Told:
        """Prefill the question and decode greedily, one token at a time."""
        ids, multimodals = self.prompt(question)
        started = time.perf_counter()
        sequence = Sequence(self.emulated, ids, multimodals, scheduled=self.scheduled)
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
        return Told(reply, ids + answer[:-1], len(ids), logits)

    def prefill(self, question: Question) -> Any:
        """Logits of the prompt alone."""
        ids, multimodals = self.prompt(question)
        return Sequence(self.emulated, ids, multimodals, scheduled=self.scheduled).prefill()

    @contextmanager
    def one_projection_zeroed(self) -> Iterator[str]:
        """The same model with one projection of zeros; yields its name.

        Raises:
            LookupError: the model has no such projection.
        """
        modules = dict(self.emulated.model.named_modules())
        name = next((found for found in modules if found.endswith(CONTROLLED)), None)
        if name is None:
            raise LookupError(f"the model has no module named …{CONTROLLED}")
        weight = modules[name].weight
        with self.torch.inference_mode():
            kept = weight.clone()
            weight.zero_()
        try:
            yield name
        finally:
            with self.torch.inference_mode():
                weight.copy_(kept)

"""The model under plain transformers on the CPU: what the engines are compared with, and a backend of its own."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ..running.events import Blocked, Events
from ..smoke.question import Question, Reply
from .imports import require_real, versions

if TYPE_CHECKING:
    from ..running.request import Request

DTYPES = ("float32", "bfloat16", "float16", "auto")


class FirstTokenClock:
    """A streamer that only looks at the clock: ``generate`` puts the prompt first, then each token."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.first: Optional[float] = None
        self._puts = 0

    def put(self, _value: Any) -> None:
        """Called with the prompt and then with each token."""
        self._puts += 1
        if self._puts == 2:  # noqa: PLR2004 - the first put is the prompt
            self.first = time.perf_counter() - self.started

    def end(self) -> None:
        """Called when the answer is complete."""


class TransformersEngine:
    """A model and its processor."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)

    def ask(self, question: Question) -> Reply:
        """Answer greedily; scores are looked through for NaN."""
        torch = importlib.import_module("torch")
        prompt, inputs = model_inputs(self.processor, question)
        clock = FirstTokenClock()
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=question.max_new_tokens,
                streamer=clock,
                return_dict_in_generate=True,
                output_scores=True,
            )
        length = int(inputs["input_ids"].shape[1])
        new = output.sequences[0, length:]
        return Reply(
            text=self.tokenizer.decode(new, skip_special_tokens=True),
            prompt_tokens=length,
            new_tokens=int(new.shape[0]),
            first_token_seconds=clock.first,
            nan=any(bool(torch.isnan(scores).any()) for scores in output.scores),
            facts={"prompt": prompt},
        )

    def close(self) -> None:
        """Nothing was started."""


def boot(request: Request, events: Events) -> TransformersEngine:
    """Load the checkpoint; facts: seconds, dtype, parameters.

    Raises:
        Blocked: the architecture is the checkpoint's own code, which this check does not speak.
        ValueError: options.dtype is none of those known.
    """
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    events.fact("versions", versions())
    threads = request.options.get("threads")
    if threads:
        torch.set_num_threads(int(threads))
    architecture = request.model.architecture
    if architecture not in dir(transformers) and request.model.trust_remote_code:
        raise Blocked(f"{architecture} is the checkpoint's own code, which this check does not speak")
    folder = request.model.folder
    started = time.perf_counter()
    kind = getattr(transformers, architecture)
    require_real(kind, architecture)
    usual = "float32" if request.model.quantisation == "none" else "auto"  # packed weights cannot be cast
    model = cast(kind.from_pretrained(folder, local_files_only=True), str(request.options.get("dtype", usual)))
    processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
    events.fact(
        "boot",
        {
            "load_seconds": round(time.perf_counter() - started, 3),
            "backend": "transformers",
            "device": str(model.device),
            "dtype": str(model.dtype).replace("torch.", ""),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "threads": torch.get_num_threads(),
            "processor": type(processor).__name__,
        },
    )
    return TransformersEngine(model, processor)


def cast(model: Any, dtype: str) -> Any:
    """The model in the dtype asked for, ready to answer.

    Loading and then casting gives the same arithmetic in every version: transformers 4 loads float32 unless told
    otherwise, 5 loads what the checkpoint holds, and the keyword that tells them changed its name.

    Raises:
        ValueError: the dtype is none of :data:`DTYPES`.
    """
    if dtype not in DTYPES:
        raise ValueError(f"options.dtype is {dtype!r}; one of: {', '.join(DTYPES)}")
    model = model.eval()
    return model if dtype == "auto" else model.to(getattr(importlib.import_module("torch"), dtype))


def model_inputs(processor: Any, question: Question) -> "tuple[str, Dict[str, Any]]":
    """The prompt's text and the tensors made of it and of the image."""
    parts: List[Dict[str, str]] = [{"type": "image"}] if question.image is not None else []
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": question.text}]}]
    owner = processor if getattr(processor, "chat_template", None) else getattr(processor, "tokenizer", processor)
    prompt = owner.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    images = {} if question.image is None else {"images": [question.image]}
    return prompt, dict(processor(text=[prompt], return_tensors="pt", **images))

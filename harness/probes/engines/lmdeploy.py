"""lmdeploy's own pipeline with an explicit engine configuration.

The engine that really came up is read from the engine object: some versions quietly give another than they are asked.
Requests go through the streaming call, which every version has, so that the first token can be timed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Iterator, List, Optional

from ..running.background import FAILURES
from ..running.driver import REASON as NO_DRIVER
from ..running.driver import driver_present
from ..running.events import Blocked, Events, Failed
from ..smoke.question import Question, Reply
from .imports import versions
from .model_folder import named_folder, takes
from .preprocess import messages
from .settings import engine_settings, read_back

if TYPE_CHECKING:
    from ..running.request import Request

ANSWER_SECONDS = 300.0
"""How long one answer may take, unless options.answer_seconds says otherwise: compiling kernels counts in."""
GRACE_SECONDS = 5.0
"""How long a request may go on after something failed in the background."""
POLL_SECONDS = 0.2


class LmdeployEngine:
    """A pipeline of any version.

    All requests are made in one thread of their own: a broken engine keeps its caller waiting for ever, and up to 0.6
    every request has to come from the event loop of the first.
    """

    def __init__(self, pipeline: Any, answer_seconds: float, *, dtype: str = "auto", quant_policy: int = 0) -> None:
        self.pipeline = pipeline
        self.answer_seconds = answer_seconds
        self.dtype = dtype
        self.quant_policy = quant_policy
        self._waiting: "queue.SimpleQueue[Asked]" = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def ask(self, question: Question) -> Reply:
        """Answer greedily through the streaming call.

        Raises:
            RuntimeError: the engine answered with an error, or the request died behind its caller's back.
            Failed: no answer in time.
        """
        failures_before = FAILURES.count
        asked = Asked(question)
        self._waiting.put(asked)
        deadline = asked.started + self.answer_seconds
        failed_at: Optional[float] = None
        while not asked.done.wait(POLL_SECONDS):
            now = time.perf_counter()
            if failed_at is None and FAILURES.count > failures_before:
                failed_at = now
            if failed_at is not None and now - failed_at > GRACE_SECONDS and not asked.done.is_set():
                raise RuntimeError("the request died behind its caller, who waits") from FAILURES.last
            if now > deadline:
                raise Failed(f"no answer within {self.answer_seconds:g} s", "timeout")
        return asked.reply()

    def close(self) -> None:
        """Close the pipeline where this version can; the process ends next in any case."""
        close = getattr(self.pipeline, "close", None)
        if close is not None:
            close()

    def encode(self, text: str) -> List[int]:
        """Ids of a text, as a request without a chat template makes them."""
        holder = holder_of(self.pipeline)
        return [int(number) for number in holder.tokenizer.encode(text, add_bos=True)]

    def go_on(self, text: str, count: int) -> List[int]:
        """Ids of the next tokens after a text without a chat template, greedily.

        Raises:
            Failed: no answer in time.
        """
        asked = Continued(text, count)
        self._waiting.put(asked)
        if not asked.done.wait(self.answer_seconds):
            raise Failed(f"no answer within {self.answer_seconds:g} s", "timeout")
        asked.reply()
        return asked.tokens

    def logits(self, ids: List[int]) -> Any:
        """Logits of every position of a prompt, float32, as an array."""
        holder = holder_of(self.pipeline)
        call = getattr(holder, "async_get_logits", None) or holder._async_get_logits  # noqa: SLF001 - up to 0.11
        with at_temperature_one(call):
            told = self.pipeline._run(coro=call(input_ids=[ids]))  # noqa: SLF001 - the engine's own loop
            return told.result(timeout=self.answer_seconds)[0].float().cpu().numpy()

    def _serve(self) -> None:
        while True:
            self._waiting.get().collect(self.pipeline)


class Asked:
    """One request under way."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.started = time.perf_counter()
        self.done = threading.Event()
        self._first: Optional[float] = None
        self._total = 0.0
        self._parts: List[Any] = []
        self._failure: Optional[BaseException] = None

    def collect(self, pipeline: Any) -> None:
        """Make the request and keep its parts, or what it raised; the clock runs for the request alone."""
        try:
            settings = generation_settings(self.question.max_new_tokens)
            started = time.perf_counter()
            for part in self.parts(pipeline, settings):
                if self._first is None and part.text:
                    self._first = time.perf_counter() - started
                self._parts.append(part)
            self._total = time.perf_counter() - started
        except BaseException as error:
            self._failure = error
        finally:
            self.done.set()

    def parts(self, pipeline: Any, settings: Any) -> Iterator[Any]:
        """The parts of the answer as they come."""
        return pipeline.stream_infer(messages(self.question), gen_config=settings)  # type: ignore[no-any-return]

    def reply(self) -> Reply:
        """The parts as one reply.

        Raises:
            BaseException: what the call itself raised.
            RuntimeError: the engine's answer is an error, or nothing came at all.
        """
        if self._failure is not None:
            raise self._failure
        if not self._parts:
            raise RuntimeError("the engine ended the request without an answer") from FAILURES.last
        text = "".join(part.text or "" for part in self._parts)
        last = self._parts[-1]
        if last.finish_reason == "error":
            told = getattr(last, "error_message", None) or text or "no message"
            raise RuntimeError(f"the engine answered with an error: {told}") from FAILURES.last
        return Reply(
            text=text,
            prompt_tokens=last.input_token_len,
            new_tokens=last.generate_token_len,
            first_token_seconds=self._first,
            total_seconds=self._total,
            facts={"finish_reason": last.finish_reason},
        )


class Continued(Asked):
    """A text to go on with, without a chat template."""

    def __init__(self, text: str, count: int) -> None:
        super().__init__(Question(text, count))

    @property
    def tokens(self) -> List[int]:
        """Ids of the answer."""
        return [int(number) for part in self._parts for number in part.token_ids or ()]

    def parts(self, pipeline: Any, settings: Any) -> Iterator[Any]:
        """The parts of the answer as they come."""
        settings.ignore_eos = True
        return pipeline.stream_infer(  # type: ignore[no-any-return]
            self.question.text, gen_config=settings, do_preprocess=False
        )


def boot(request: Request, events: Events) -> LmdeployEngine:
    """Bring the pipeline up; facts: seconds, settings, the engine that really runs.

    Raises:
        Blocked: this machine has no driver.
        Failed: another engine than the one asked for came up.
    """
    require_driver()
    events.fact("versions", versions())
    lmdeploy = importlib.import_module("lmdeploy")
    folder = named_folder(request, events)
    shorten_ray_folder(request.scratch)
    settings, used = engine_settings(request)
    trust = {"trust_remote_code": request.model.trust_remote_code}
    events.progress(f"starting {request.backend}")
    started = time.perf_counter()
    pipeline = lmdeploy.pipeline(
        folder, backend_config=settings, **(trust if takes(lmdeploy.pipeline, "trust_remote_code") else {})
    )
    actual, kind = running_engine(pipeline)
    cuda = importlib.import_module("torch").cuda
    events.fact(
        "boot",
        {
            "load_seconds": round(time.perf_counter() - started, 3),
            "requested": request.backend,
            "backend": actual,
            "engine": kind,
            "settings": used,
            "device": cuda.get_device_name(0),
        },
    )
    seconds = float(request.options.get("answer_seconds", ANSWER_SECONDS))
    engine = LmdeployEngine(
        pipeline, seconds, dtype=str(used.get("dtype", "auto")), quant_policy=int(used.get("quant_policy", 0))
    )
    try:
        if actual != request.backend:
            raise Failed(f"asked for {request.backend}, got {actual} ({kind})", "backend-substituted")
        if request.engine.get("asked"):
            events.fact("read_back", read_back(holder_of(pipeline).engine, request.engine["asked"]))
    except Failed:
        engine.close()
        raise
    return engine


def require_driver() -> None:
    """Refuse to start without a driver.

    Raises:
        Blocked: this machine has none.
    """
    if not driver_present():
        raise Blocked("this machine has no NVIDIA driver, and lmdeploy's engines need a GPU", NO_DRIVER)


def shorten_ray_folder(scratch: str) -> None:
    """Let Ray, which starts the pytorch engine's processes on several cards, keep its sockets in scratch.

    It takes the folder for temporary files, and a socket's path has 107 characters: too few for one that deep. The name
    given here is short, and that folder's for as long as this process lives.
    """
    opened = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
    os.environ["RAY_TMPDIR"] = f"/proc/{os.getpid()}/fd/{opened}"


def generation_settings(max_new_tokens: int) -> Any:
    """Greedy decoding, in every version that has a setting for it."""
    kind = importlib.import_module("lmdeploy").GenerationConfig
    wanted = {"max_new_tokens": max_new_tokens, "do_sample": False, "top_k": 1, "temperature": 1.0}
    known = {item.name for item in fields(kind)}
    return kind(**{name: value for name, value in wanted.items() if name in known})


@contextmanager
def at_temperature_one(call: Any) -> Iterator[None]:
    """Let lmdeploy's own request for logits sample at temperature 1: at its default, 0.8, sampling divides the last."""
    names = call.__func__.__globals__
    kind = names["GenerationConfig"]
    names["GenerationConfig"] = partial(kind, temperature=1.0)
    try:
        yield
    finally:
        names["GenerationConfig"] = kind


def holder_of(pipeline: Any) -> Any:
    """What holds the engine: a part of the pipeline class from 0.12, the pipeline itself before."""
    return getattr(pipeline, "async_engine", pipeline)


def running_engine(pipeline: Any) -> "tuple[str, str]":
    """The backend that really runs, and its class, read from the engine object."""
    holder = holder_of(pipeline)
    kind = type(holder.engine)
    package, _, rest = kind.__module__.partition(".")
    told = rest.partition(".")[0] if package == "lmdeploy" else str(getattr(holder, "backend", "unknown"))
    return told, f"{kind.__module__}.{kind.__qualname__}"

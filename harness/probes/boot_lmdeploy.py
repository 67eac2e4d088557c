"""lmdeploy's own pipeline with an explicit engine configuration, and the start without one.

The engine that really came up is read from the engine object: asked for turbomind, some versions quietly give pytorch.
Requests go through the streaming call, which every version has, so that the first token can be timed.
"""

from __future__ import annotations

import importlib
import queue
import threading
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from .background import BACKGROUND_ERRORS
from .driver import REASON as NO_DRIVER
from .driver import driver_present
from .events import Blocked, Events, Failed
from .imports import versions
from .model_folder import named_folder, takes
from .preprocess import messages
from .two_pass import Question, Reply

if TYPE_CHECKING:
    from .request import Request

SETTINGS = (
    "session_len",
    "cache_max_entry_count",
    "eager_mode",
    "max_batch_size",
    "max_prefill_token_num",
    "dtype",
    "tp",
)
"""Options of a request that go into the engine's configuration, where that version's engine has them."""

ANSWER_SECONDS = 300.0
"""How long one answer may take, unless options.answer_seconds says otherwise: compiling kernels counts in."""
GRACE_SECONDS = 5.0
"""How long a request may go on after something failed in the background."""
POLL_SECONDS = 0.2


class ServerReached(Exception):  # noqa: N818 - no error: it says how far the server came
    """The server was about to listen: everything before it worked."""


class LmdeployEngine:
    """A pipeline of any version."""

    def __init__(self, pipeline: Any, answer_seconds: float) -> None:
        self.pipeline = pipeline
        self.answer_seconds = answer_seconds

    def ask(self, question: Question) -> Reply:
        """Answer greedily through the streaming call, in a thread of its own.

        Raises:
            RuntimeError: the engine answered with an error, or the request died behind its caller's back.
            Failed: no answer in time.
        """
        asked = Asked(self.pipeline, question)
        deadline = asked.started + self.answer_seconds
        seen = len(BACKGROUND_ERRORS)
        failed_at: Optional[float] = None
        while asked.thread.is_alive():
            asked.thread.join(POLL_SECONDS)
            now = time.perf_counter()
            if failed_at is None and len(BACKGROUND_ERRORS) > seen:
                failed_at = now
            if failed_at is not None and now - failed_at > GRACE_SECONDS and asked.thread.is_alive():
                raise RuntimeError("the request died behind its caller, who waits") from last_background_error()
            if now > deadline:
                raise Failed(f"no answer within {self.answer_seconds:g} s", "timeout")
        return asked.reply()

    def close(self) -> None:
        """Close the pipeline where this version can; the process ends next in any case."""
        close = getattr(self.pipeline, "close", None)
        if close is not None:
            close()


class Asked:
    """One request under way; its parts are collected in a daemon thread, since a broken engine never ends it."""

    def __init__(self, pipeline: Any, question: Question) -> None:
        self.started = time.perf_counter()
        self.first: Optional[float] = None
        self._parts: List[Any] = []
        self._failure: "queue.SimpleQueue[BaseException]" = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._collect, args=(pipeline, question), daemon=True)
        self.thread.start()

    def _collect(self, pipeline: Any, question: Question) -> None:
        try:
            settings = generation_settings(question.max_new_tokens)
            for part in pipeline.stream_infer(messages(question), gen_config=settings):
                if self.first is None and part.text:
                    self.first = time.perf_counter() - self.started
                self._parts.append(part)
        except BaseException as error:
            self._failure.put(error)

    def reply(self) -> Reply:
        """The parts as one reply.

        Raises:
            BaseException: what the call itself raised.
            RuntimeError: the engine's answer is an error, or nothing came at all.
        """
        if not self._failure.empty():
            raise self._failure.get()
        if not self._parts:
            raise RuntimeError("the engine ended the request without an answer") from last_background_error()
        text = "".join(part.text or "" for part in self._parts)
        last = self._parts[-1]
        if last.finish_reason == "error":
            told = getattr(last, "error_message", None) or text or "no message"
            raise RuntimeError(f"the engine answered with an error: {told}") from last_background_error()
        return Reply(
            text=text,
            prompt_tokens=last.input_token_len,
            new_tokens=last.generate_token_len,
            first_token_seconds=self.first,
            facts={"finish_reason": last.finish_reason},
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
    settings, used = engine_settings(request)
    trust = {"trust_remote_code": request.model.trust_remote_code}
    events.progress(f"starting {request.backend}")
    started = time.perf_counter()
    pipeline = lmdeploy.pipeline(
        folder, backend_config=settings, **(trust if takes(lmdeploy.pipeline, "trust_remote_code") else {})
    )
    actual, kind = running_engine(pipeline)
    events.fact(
        "boot",
        {
            "load_seconds": round(time.perf_counter() - started, 3),
            "requested": request.backend,
            "backend": actual,
            "engine": kind,
            "settings": used,
            "device": importlib.import_module("torch").cuda.get_device_name(0),
        },
    )
    engine = LmdeployEngine(pipeline, float(request.options.get("answer_seconds", ANSWER_SECONDS)))
    if actual != request.backend:
        engine.close()
        raise Failed(f"asked for {request.backend}, got {actual} ({kind})", "backend-substituted")
    return engine


def require_driver() -> None:
    """Refuse to start without a driver.

    Raises:
        Blocked: this machine has none.
    """
    if not driver_present():
        raise Blocked("this machine has no NVIDIA driver, and lmdeploy's engines need a GPU", NO_DRIVER)


def engine_settings(request: Request) -> "tuple[Any, Dict[str, Any]]":
    """The engine's configuration object, and what of the request's options it took."""
    lmdeploy = importlib.import_module("lmdeploy")
    kind = lmdeploy.PytorchEngineConfig if request.backend == "pytorch" else lmdeploy.TurbomindEngineConfig
    known = {item.name for item in fields(kind)}
    used = {name: request.options[name] for name in SETTINGS if name in request.options and name in known}
    if request.model.quantisation == "awq-int4" and request.backend == "turbomind":
        used["model_format"] = "awq"
    return kind(**used), used


def generation_settings(max_new_tokens: int) -> Any:
    """Greedy decoding, in every version that has a setting for it."""
    kind = importlib.import_module("lmdeploy").GenerationConfig
    wanted = {"max_new_tokens": max_new_tokens, "do_sample": False, "top_k": 1, "temperature": 1.0}
    known = {item.name for item in fields(kind)}
    return kind(**{name: value for name, value in wanted.items() if name in known})


def running_engine(pipeline: Any) -> "tuple[str, str]":
    """The backend that really runs, and its class, read from the engine object."""
    holder = getattr(pipeline, "async_engine", pipeline)  # a pipeline class of its own from 0.12
    kind = type(holder.engine)
    name = f"{kind.__module__}.{kind.__qualname__}"
    for backend in ("turbomind", "pytorch"):
        if name.startswith(f"lmdeploy.{backend}."):
            return backend, name
    return str(getattr(holder, "backend", "unknown")), name


def last_background_error() -> Optional[BaseException]:
    """What failed behind a caller's back last, if anything did."""
    return BACKGROUND_ERRORS[-1] if BACKGROUND_ERRORS else None


def no_backend_config(request: Request, events: Events) -> None:
    """Start the server from Python without an engine configuration, up to where it would listen."""
    with events.answering("boot") as answer:
        if request.model.folder is None:
            raise Blocked("no checkpoint of this model is on this machine", "weights-missing-or-corrupt")
        uvicorn: Any = importlib.import_module("uvicorn")
        uvicorn.run = reached
        server = importlib.import_module("lmdeploy.serve.openai.api_server")
        backend = request.backend if request.backend in ("pytorch", "turbomind") else "pytorch"
        try:
            server.serve(request.model.folder, backend=backend, backend_config=None)
        except ServerReached:
            answer.message = "the server came up to where it listens"


def reached(*_arguments: Any, **_keywords: Any) -> None:
    """Stands in for uvicorn's ``run``.

    Raises:
        ServerReached: always.
    """
    raise ServerReached

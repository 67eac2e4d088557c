"""lmdeploy's own pipeline with an explicit engine configuration, and the start without one.

The engine that really came up is read from the engine object: asked for turbomind, some versions quietly give pytorch.
Requests go through the streaming call, which every version has, so that the first token can be timed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import queue
import sys
import threading
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from ..running.background import FAILURES
from ..running.driver import REASON as NO_DRIVER
from ..running.driver import driver_present
from ..running.events import Answer, Blocked, Events, Failed
from ..smoke.question import Question, Reply
from .imports import versions
from .model_folder import named_folder, takes
from .preprocess import messages

if TYPE_CHECKING:
    from ..running.request import Request

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

FORMATS = {"awq-int4": "awq", "gptq-int4": "gptq"}
"""TurboMind's name for a quantisation method."""
WORKSPACE_MIB = 2560
"""Room for the CUDA context, activations and the vision tower: what is left of the budget after it is cache."""
SMALLEST_CACHE_MIB = 256
CACHE_SHARE = 0.8
"""lmdeploy's own default share, never exceeded."""
SESSION_LENGTH = 2048
"""Tokens: the smoke test's image and both passes fit several times."""
BATCH = 4

ANSWER_SECONDS = 300.0
"""How long one answer may take, unless options.answer_seconds says otherwise: compiling kernels counts in."""
GRACE_SECONDS = 5.0
"""How long a request may go on after something failed in the background."""
POLL_SECONDS = 0.2


class ServerReached(Exception):  # noqa: N818 - no error: it says how far the server came
    """The server was about to listen: everything before it worked."""


class LmdeployEngine:
    """A pipeline of any version.

    All requests are made in one thread of their own: a broken engine keeps its caller waiting for ever, and up to 0.6
    every request has to come from the event loop of the first.
    """

    def __init__(self, pipeline: Any, answer_seconds: float) -> None:
        self.pipeline = pipeline
        self.answer_seconds = answer_seconds
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
            for part in pipeline.stream_infer(messages(self.question), gen_config=settings):
                if self._first is None and part.text:
                    self._first = time.perf_counter() - started
                self._parts.append(part)
            self._total = time.perf_counter() - started
        except BaseException as error:
            self._failure = error
        finally:
            self.done.set()

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
    if "gpu_budget_mib" in request.options:
        used = {name: value for name, value in within_budget(request).items() if name in known} | used
    if request.model.quantisation in FORMATS and request.backend == "turbomind":
        used["model_format"] = FORMATS[request.model.quantisation]
    return kind(**used), used


def within_budget(request: Request) -> Dict[str, Any]:
    """Settings with which the engine lives in ``options.gpu_budget_mib`` on a card of any size.

    Both engines take ``cache_max_entry_count`` as a share of the memory that is free once the weights are loaded, so
    the share of a big card that makes a small card's cache follows from the budget. CUDA graphs cost memory of their
    own and are left out.
    """
    free = importlib.import_module("torch").cuda.mem_get_info(0)[0] / 2**20
    budget, weights = float(request.options["gpu_budget_mib"]), float(request.options.get("weights_mib", 0))
    cache = max(budget - weights - WORKSPACE_MIB, SMALLEST_CACHE_MIB)
    return {
        "cache_max_entry_count": round(min(CACHE_SHARE, cache / max(free - weights, 1.0)), 5),
        "session_len": SESSION_LENGTH,
        "max_batch_size": BATCH,
        "max_prefill_token_num": SESSION_LENGTH,
        "eager_mode": True,
    }


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


def no_backend_config(request: Request, events: Events) -> None:
    """Start the server from Python without an engine configuration, up to where it would listen."""
    with events.answering("boot") as answer:
        require_checkpoint(request)
        server = importlib.import_module("lmdeploy.serve.openai.api_server")
        listening_instead(
            answer, lambda: server.serve(request.model.folder, backend=request.backend, backend_config=None)
        )


def reached(*_arguments: Any, **_keywords: Any) -> None:
    """Stands in for uvicorn's ``run``.

    Raises:
        ServerReached: always.
    """
    raise ServerReached


def launch_script(request: Request, events: Events) -> None:
    """Run the generated launch script, up to where its server would listen."""
    with events.answering("boot") as answer:
        require_checkpoint(request)
        path = os.path.join(request.scratch, "launch_server.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(request.options["script"]))
        # imported, not run as __main__: engines start processes that look for this probe's own __main__
        if not driver_present():
            keep_engine_in_process(events)
        spec = importlib.util.spec_from_file_location("launch_server", path)
        if spec is None or spec.loader is None:
            raise Failed(f"{path} cannot be loaded as a module")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        listening_instead(answer, script.main)


def keep_engine_in_process(events: Events) -> None:
    """Have the server's engine built here instead of in a process of its own, where this version would do that.

    Without a driver that process dies and the server waits for it for ever (seen with 0.11.1); here its error gets out.
    """
    try:
        multiprocess: Any = importlib.import_module("lmdeploy.pytorch.engine.mp_engine")
    except ImportError:
        return  # a version that has no such thing

    def build(backend: str, model_path: str, engine_config: Any = None, **settings: Any) -> Any:
        events.fact("engine_kept_in_process", backend)
        engine_config.enable_mp_engine = False
        engine: Any = importlib.import_module("lmdeploy.pytorch.engine").Engine
        return engine.from_pretrained(model_path, engine_config=engine_config, **settings)

    multiprocess.build_mp_engine = build


def server_command(request: Request, events: Events) -> None:
    """Run ``lmdeploy serve api_server``, up to where its server would listen."""
    with events.answering("boot") as answer:
        require_checkpoint(request)
        arguments = ["serve", "api_server", str(request.model.folder), "--backend", request.backend]
        events.fact("command", ["lmdeploy", *arguments])
        sys.argv = ["lmdeploy", *arguments]
        entry: Any = importlib.import_module("lmdeploy.cli.entrypoint")
        listening_instead(answer, entry.run)


def require_checkpoint(request: Request) -> None:
    """Refuse to start without a checkpoint.

    Raises:
        Blocked: this machine has none.
    """
    if request.model.folder is None:
        raise Blocked("no checkpoint of this model is on this machine", "weights-missing-or-corrupt")


def listening_instead(answer: Answer, start: Callable[[], Any]) -> None:
    """Start a server whose listening is replaced by :class:`ServerReached`."""
    uvicorn: Any = importlib.import_module("uvicorn")
    uvicorn.run = reached
    try:
        start()
    except ServerReached:
        answer.message = "the server came up to where it listens"

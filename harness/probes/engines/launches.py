"""Ways to start the server other than asking it: each is tried up to where the server would listen."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any, Callable

from ..running.driver import driver_present
from ..running.events import Answer, Blocked, Events, Failed

if TYPE_CHECKING:
    from ..running.request import Request


class ServerReached(Exception):  # noqa: N818 - no error: it says how far the server came
    """The server was about to listen: everything before it worked."""


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
            file.write(str(request.engine["script"]))
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

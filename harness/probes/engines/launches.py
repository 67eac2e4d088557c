"""A way to start the server, given as a script: run up to where the server would listen."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any

from ..running.driver import driver_present
from ..running.events import Events, Failed
from .model_folder import wanted_checkpoint

if TYPE_CHECKING:
    from ..running.request import Request


class ServerReached(Exception):  # noqa: N818 - no error: it says how far the server came
    """The server was about to listen: everything before it worked."""


def reached(*_arguments: Any, **_keywords: Any) -> None:
    """Stands in for uvicorn's ``run``.

    Raises:
        ServerReached: always.
    """
    raise ServerReached


def script(request: Request, events: Events) -> None:
    """Run the script's ``main``; facts: its text."""
    with events.answering("boot") as answer:
        wanted_checkpoint(request)
        text = str(request.engine["script"])
        events.fact("script", text)
        path = os.path.join(request.scratch, "launch_server.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if not driver_present():
            keep_engine_in_process(events)
        # imported, not run as __main__: engines start processes that look for this probe's own __main__
        spec = importlib.util.spec_from_file_location("launch_server", path)
        if spec is None or spec.loader is None:
            raise Failed(f"{path} cannot be loaded as a module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        uvicorn: Any = importlib.import_module("uvicorn")
        uvicorn.run = reached
        try:
            module.main()
        except ServerReached:
            answer.message = "the server came up to where it listens"


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

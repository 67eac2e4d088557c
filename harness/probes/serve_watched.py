"""Run ``lmdeploy`` as its command line would, and tell which engine came up.

``<environment's python> serve_watched.py FILE serve api_server …``. A thread looks at the server module's own engine
object and writes ``{"backend": …, "engine": …}`` into FILE as soon as it is there; nothing of lmdeploy is changed.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from typing import Any

POLL_SECONDS = 0.2


def watch(path: str) -> None:
    """Wait for the engine and write what it is."""
    while True:
        module: Any = sys.modules.get("lmdeploy.serve.openai.api_server")
        holder = getattr(getattr(module, "VariableInterface", None), "async_engine", None)
        engine = getattr(holder, "engine", None)
        if engine is not None:
            name = f"{type(engine).__module__}.{type(engine).__qualname__}"
            backend = name.split(".")[1] if name.startswith("lmdeploy.") else str(getattr(holder, "backend", "unknown"))
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump({"backend": backend, "engine": name}, file)
            os.replace(path + ".new", path)
            return
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    threading.Thread(target=watch, args=(sys.argv[1],), daemon=True).start()
    sys.argv = ["lmdeploy", *sys.argv[2:]]
    entry: Any = importlib.import_module("lmdeploy.cli.entrypoint")
    entry.run()

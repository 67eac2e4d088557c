"""Run ``lmdeploy`` as its command line would, and tell which engine came up.

``<environment's python> serve_watched.py FILE serve api_server …``. Once somebody has made ``FILE.asked``, a thread
looks for lmdeploy's engine among the objects of this process and writes ``{"backend": …, "engine": …}`` into FILE.
Nothing of lmdeploy is changed, and where a version keeps its engine does not matter.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any, Dict

POLL_SECONDS = 0.2


def watch(path: str) -> None:
    """Wait to be asked, then write what the engine is."""
    while not os.path.exists(path + ".asked"):
        time.sleep(POLL_SECONDS)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(engine_here(), file)
    os.replace(path + ".new", path)


def engine_here() -> Dict[str, str]:
    """The backend and the engine's class, ``unknown`` where no engine is found."""
    for holder in gc.get_objects():
        if any(base.__name__ == "AsyncEngine" for base in type(holder).__mro__):
            engine: Any = getattr(holder, "engine", None)
            if engine is None:
                continue
            name = f"{type(engine).__module__}.{type(engine).__qualname__}"
            told = str(getattr(holder, "backend", "unknown"))
            return {"backend": name.split(".")[1] if name.startswith("lmdeploy.") else told, "engine": name}
    return {"backend": "unknown", "engine": "unknown"}


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose lmdeploy.py and transformers.py would be taken for the packages
    # whoever runs the harness in the background has it ignore SIGINT, and its children with it; the server ends on it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=watch, args=(sys.argv[1],), daemon=True).start()
    sys.argv = ["lmdeploy", *sys.argv[2:]]
    entry: Any = importlib.import_module("lmdeploy.cli.entrypoint")
    entry.run()

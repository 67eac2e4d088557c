"""Runs inside an environment for :mod:`benchmarks.scan_overlays`: each pair's checks in a fork of their own.

Heavy packages are loaded once. A fork puts the pair's own packages first on its path and makes the checks in turn,
until one does not pass. Standard library only.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def main(order_file: str) -> None:
    """CheckResult every request of the order into its own events file."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    start = loaded(order["start"])
    start.load_package()
    for module in order["preload"]:
        importlib.import_module(module)
    for pair in order["pairs"]:
        began = time.monotonic()
        process = os.fork()
        if process == 0:
            os.setsid()
            in_fork(start, pair)
        while os.waitpid(process, os.WNOHANG)[0] == 0:
            if time.monotonic() - began > order["wall"]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
            time.sleep(0.05)
        print(pair["site"], round(time.monotonic() - began, 1), "s", flush=True)


def loaded(path: str) -> Any:  # noqa: ANN401 - a module whose types this interpreter cannot know
    """The module in a file."""
    spec = importlib.util.spec_from_file_location("probe_start", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hidden:
    """Makes packages that a pair's own lock does not have as absent as they would be."""

    def __init__(self, modules: list[str]) -> None:
        self.modules = frozenset(modules)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Refuse what is hidden; leave the rest to the others."""
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def in_fork(start: Any, pair: Any) -> None:  # noqa: ANN401 - as above, and an entry of the order
    """Make the checks of one pair and end the process."""
    try:
        log = os.open(pair["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.path.insert(0, pair["site"])
        sys.meta_path.insert(0, Hidden(pair["hidden"]))
        for request, events in pair["requests"]:
            start.answer_request(request)
            lines = Path(events).read_text(encoding="utf-8").splitlines()
            results = [event for event in map(json.loads, lines) if event["event"] == "result"]
            if not results or any(result["outcome"] != "pass" for result in results):
                break
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])

"""Entry of every probe: ``<environment's python> -I start.py REQUEST.json``.

The sibling files are loaded as the package ``harness_probes``, so nothing of this folder lands on ``sys.path``. The
events file is the answer; the exit status is 0 whenever the probe came to its own end and 2 for a request that cannot
be read. Everything is behind the ``__main__`` guard, since an engine may start processes that import this file again.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, List

PACKAGE = "harness_probes"


def main(arguments: List[str]) -> int:
    """Answer one request, or a batch of them; the exit status."""
    if not arguments:
        print("usage: start.py REQUEST.json", file=sys.stderr)
        return 2
    load_package()
    batch = sibling("running.batch")
    try:
        order = batch.order_of(arguments[0])
    except (OSError, ValueError) as error:
        print(f"start.py: {error}", file=sys.stderr)
        return 2
    if order is None:
        return answer_request(arguments[0])
    sibling("running.boundary").watch(os.path.dirname(order["events"]))
    prepare()
    return int(batch.run(order, arguments, answer_request))


def answer_request(path: str) -> int:
    """Answer the request in the file; the exit status."""
    try:
        request = sibling("running.request").read(path)
    except (OSError, ValueError) as error:
        print(f"start.py: {error}", file=sys.stderr)
        return 2
    events = sibling("running.events").Events(request.events)
    events.start(request.check)
    sibling("running.boundary").watch(os.path.dirname(request.events))
    sibling("running.boundary").tell(events, trusted=request.model.trust_remote_code)
    prepare()
    try:
        check = probe(request.probe)
    except (ImportError, AttributeError, ValueError) as error:
        print(f"start.py: no probe is at {request.probe!r}: {error}", file=sys.stderr)
        return 2
    answer(check, request, events)
    with contextlib.suppress(OSError):  # a full disk: the next probe compiles once more
        sibling("running.bytecode").note(os.path.dirname(request.events))
    events.end()
    return 0


def answer(check: Callable[[Any, Any], None], request: Any, events: Any) -> None:
    """Run the check; whatever it raises, and its silence too, becomes a result of the stage it was asked about."""
    try:
        check(request, events)
    except BaseException as error:
        traceback.print_exc()
        if events.answered:
            events.fact("problem_after_the_answer", sibling("running.exceptions").record(error))
        with events.answering(request.stage):
            raise
    if not events.answered:
        with events.answering(request.stage):
            raise RuntimeError(f"the check {request.check} ended without an answer")


def prepare() -> None:
    """Make this process fit for a broken stack: nothing to parse in ``argv``, no hub, stacks shown on request."""
    sys.dont_write_bytecode = True
    sys.argv = sys.argv[:1]
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.setdefault(name, "1")  # every probe works on local folders
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sibling("running.background").watch()
    with contextlib.suppress(AttributeError, OSError, ValueError, RuntimeError):
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1, all_threads=True)


def load_package() -> None:
    """Make the files beside this one importable as ``harness_probes``."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules[PACKAGE] = package


def sibling(name: str) -> Any:
    """The module in the file beside this one."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def probe(place: str) -> Any:
    """The function at a place such as ``engines.imports:engine_modules``.

    Raises:
        ImportError: there is no such module.
        AttributeError: it has no such function.
        ValueError: that is no place.
    """
    module, function = place.split(":")
    return getattr(sibling(module), function)


def leave(status: int) -> None:
    """End at once: threads and exit handlers of a broken stack may hang or crash, and the answer is written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))

"""Several checks of one environment in one go: heavy packages are loaded once, each check runs in a fork of its own.

Loading torch takes most of the time of most checks, and most checks need it. So this process loads what is safe to
share and forks for every check; what a check imports, breaks or leaves behind stays in its fork. Checks that share more
are a phase of their own: a fork of this process that loads the rest and forks in its turn. The order::

    {"batch": [{"preload": ["torch"], "requests": ["/abs/request-1.json", …]}, …],
     "events": "/abs/batch.jsonl", "wall": 300.0}

The requests are those of single checks, answered into their own events files. The batch's events tell how each fork
ended::

    {"event": "ended", "request": …, "end": "exited" | "wall", "exit": 0, "seconds": 1.2, "peak": bytes, "left": 0}
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional

PR_SET_CHILD_SUBREAPER = 36
MARK = "\x1e"
"""Begins and ends the line on standard output that says whose output follows."""
POLL = 0.01
BARE = "--bare"
"""Second argument that forbids preloading."""
NOT_PRELOADED = 3
"""Exit status of a phase that could not load what its checks share, and asked nothing."""


def order_of(path: str) -> Optional[Dict[str, Any]]:
    """The order in the file, or None when it holds a single request."""
    with open(path, encoding="utf-8") as stream:
        data = json.load(stream)
    return data if isinstance(data, dict) and "batch" in data else None


def run(order: Dict[str, Any], arguments: List[str], answer: Callable[[str], int]) -> int:
    """Answer every request of the batch in a fork; the exit status."""
    adopt_orphans()
    bare = BARE in arguments
    first, *later = order["batch"]
    if not bare:
        preload(first["preload"], arguments)
    ask(first["requests"], order, answer)
    for phase in later:
        status = NOT_PRELOADED if bare else in_phase(phase, order, answer)
        if status == NOT_PRELOADED:
            ask(phase["requests"], order, answer)
        elif status:
            return 1
    tell(order["events"], {"event": "end"})
    return 0


def ask(requests: List[str], order: Dict[str, Any], answer: Callable[[str], int]) -> None:
    """Answer the requests, one after the other."""
    for request in requests:
        say(request)
        tell(order["events"], {"event": "ended", "request": request, **forked(request, order["wall"], answer)})


def in_phase(phase: Dict[str, Any], order: Dict[str, Any], answer: Callable[[str], int]) -> int:
    """Answer the phase's requests in a process that has loaded what they share; its exit status."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            adopt_orphans()
            status = NOT_PRELOADED
            for module in phase["preload"]:
                importlib.import_module(module)
            status = 1
            ask(phase["requests"], order, answer)
            status = 0
        except BaseException as error:
            print(f"ended early: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def preload(modules: List[str], arguments: List[str]) -> None:
    """Import what the checks share. After a failure this process starts over without: half a package is no package."""
    try:
        for module in modules:
            importlib.import_module(module)
    except BaseException as error:
        print(f"not preloaded: {error!r}", file=sys.stderr, flush=True)
        script = str(sys.modules["__main__"].__file__)
        os.execv(sys.executable, [sys.executable, "-I", script, *arguments, BARE])


def forked(request: str, wall: float, answer: Callable[[str], int]) -> Dict[str, Any]:
    """Run one request in a fork, within ``wall`` seconds, and leave nothing of it behind."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.setsid()
            status = answer(request)
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    end = "exited"
    while True:
        found, status, usage = os.wait4(process, os.WNOHANG)
        if found:
            break
        if time.monotonic() - started > wall and end != "wall":
            end = "wall"
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(POLL)
    seconds = time.monotonic() - started
    return {
        "end": end,
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": round(seconds, 4),
        "peak": usage.ru_maxrss * 1024,
        "left": bury_orphans(),
    }


def adopt_orphans() -> None:
    """Become the parent of whatever a check orphans, so that it can be found and ended."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_orphans() -> int:
    """End all processes that a check left behind; how many they were, once those that were just leaving have left."""
    deadline = time.monotonic() + 0.2
    while living() and time.monotonic() < deadline:
        time.sleep(POLL)
    left = len(living())
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline and living():
        for process in living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(POLL)
    return left


def living() -> List[int]:
    """Children of this process, reaped ones taken off. A grandchild becomes a child as soon as its parent is gone."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found: List[int] = []
    me = os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stream:
                    fields = stream.read().rpartition(")")[2].split()
                if int(fields[1]) == me and fields[0] != "Z":
                    found.append(int(entry))
    return found


def say(request: str) -> None:
    """Mark in the log whose output follows."""
    with contextlib.suppress(OSError):
        os.write(1, f"\n{MARK}{request}{MARK}\n".encode())


def tell(events: str, event: Dict[str, Any]) -> None:
    """Append an event with one write."""
    descriptor = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(event) + "\n").encode())
    finally:
        os.close(descriptor)

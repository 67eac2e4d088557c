"""The ways to start lmdeploy: which of them this version has.

Only the command line itself has to load. The module ``lmdeploy.serve.api_server`` exists in no version looked at and is
still what people type, so whether it does is a fact here and a check of its own where a matrix asks for it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Dict, List

from ..running.events import Decided, Events, Failed, summary
from ..running.exceptions import bounded, without_prefixes
from .imports import exists

if TYPE_CHECKING:
    from ..running.request import Request

LEGACY_MODULE = "lmdeploy.serve.api_server"


def entry_points(_request: Request, events: Events) -> None:
    """Load the command line and ask it for the server's help; the other ways to start are facts."""
    with events.answering("import"):
        importlib.import_module("lmdeploy")
        facts: Dict[str, Any] = {"lmdeploy serve api_server": "missing"}
        try:
            facts["lmdeploy serve api_server"] = command_line_help(["serve", "api_server", "--help"])
        finally:
            facts["lmdeploy.pipeline"] = attribute("lmdeploy", "pipeline")
            facts["lmdeploy.serve.openai.api_server:serve"] = attribute("lmdeploy.serve.openai.api_server", "serve")
            facts[f"python -m {LEGACY_MODULE}"] = "exists" if exists(LEGACY_MODULE) else "missing"
            events.fact("entry_points", facts)


def launch_module(_request: Request, events: Events) -> None:
    """Start ``python -m lmdeploy.serve.api_server --help`` as people do, and report how it ends."""
    with events.answering("import"):
        command = [sys.executable, "-I", "-m", LEGACY_MODULE, "--help"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        events.fact("exit_status", ended.returncode)
        if ended.returncode != 0:
            raise Failed(last_words(ended.stderr or ended.stdout)) from launch_error(ended.stderr or ended.stdout)


def command_line_help(arguments: List[str]) -> str:
    """Run lmdeploy's command line in this process up to its help.

    Raises:
        SystemExit: it ended with an error status.
        Failed: it has no such command.
    """
    run = importlib.import_module("lmdeploy.cli.entrypoint").run
    output = io.StringIO()
    saved = sys.argv
    sys.argv = ["lmdeploy", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            run()
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise Failed(last_words(output.getvalue()), "entrypoint-moved-or-misused") from ended
    finally:
        sys.argv = saved
    if "--backend" not in output.getvalue():
        raise Failed(f"lmdeploy {' '.join(arguments)} showed no help of the server", "entrypoint-moved-or-misused")
    return "exists"


def attribute(module: str, name: str) -> str:
    """``exists``, ``missing`` or why the module does not load."""
    try:
        return "exists" if callable(getattr(importlib.import_module(module), name, None)) else "missing"
    except Decided:
        raise
    except BaseException as error:
        return summary(error)


def last_words(text: str) -> str:
    """The last line that says something, without the interpreter's path before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else "ended without a word"
    head, separator, tail = line.partition(": ")
    words = tail if separator and head.rstrip().endswith(("python", "python3")) else line
    return bounded(without_prefixes(words.replace(f"{sys.executable}: ", "")), 1000)


def launch_error(text: str) -> BaseException:
    """The exception that the child's last line stands for."""
    words = last_words(text)
    if words.startswith("No module named"):
        return ModuleNotFoundError(words)
    kind, separator, message = words.partition(": ")
    return RuntimeError(words) if not separator else _NAMED.get(kind, RuntimeError)(message)


_NAMED = {kind.__name__: kind for kind in (ImportError, ModuleNotFoundError, AttributeError, RuntimeError, OSError)}

"""The only way a probe answers: JSON lines appended to the events file.

Each event is one ``os.write`` to a file opened for it, so that it survives whatever happens next, and so that neither
a closed file descriptor nor a forked copy of the process can spoil the file.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

from .driver import REASON as NO_DRIVER
from .driver import only_the_driver_is_missing
from .exceptions import bounded, message_of, record, type_name

MAX_TEXT = 16_000
"""Characters kept of one text in a fact."""
MAX_ITEMS = 400
"""Items kept of one list or mapping in a fact."""
MAX_SUMMARY = 500
MAX_DEPTH = 20
"""Lists and mappings in each other; what is deeper is kept as text."""
MAX_INTEGER = 2**63


class Decided(Exception):  # noqa: N818 - a pass through the stack, not an error of the probe
    """Raised by a check that itself knows how its stage ended.

    Raise it ``from`` the exception that shows it, where there is one.
    """

    outcome = "fail"

    def __init__(self, message: str, reason: Optional[str] = None) -> None:
        super().__init__(message)
        self.reason = reason


class Failed(Decided):
    """The stage failed, for the reason family given (None leaves it to the diagnosis)."""


class Blocked(Decided):
    """This machine or this request lacks what the stage needs."""

    outcome = "blocked"


class Answer:
    """What a stage's block may add to its result, and how it ended."""

    def __init__(self) -> None:
        self.message = ""
        self.passed = False


class Events:
    """Writer of one events file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.answered: List[str] = []
        """Stages that have their result."""
        self._process = os.getpid()

    def start(self, check: str) -> None:
        """Say that the probe is running, and under which interpreter."""
        self._write({"event": "start", "check": check, "pid": os.getpid(), "python": platform.python_version()})

    def fact(self, name: str, value: Any) -> None:
        """Write down something found out."""
        self._write({"event": "fact", "name": name, "value": jsonable(value)})

    def progress(self, text: str) -> None:
        """Say what is being done now; also keeps an idle time-out away."""
        self._write({"event": "progress", "text": _clean(text)})

    def end(self) -> None:
        """Say that the probe came to its own end."""
        self._write({"event": "end"})

    def result(  # noqa: PLR0913 - the fields of a result event, by keyword
        self,
        stage: str,
        outcome: str,
        *,
        message: str = "",
        reason: Optional[str] = None,
        error: Optional[BaseException] = None,
        seconds: float = 0.0,
    ) -> None:
        """Answer a stage. A second answer to the same stage is ignored: the first cause is the true one."""
        if stage in self.answered:
            return
        self.answered.append(stage)
        self._write(
            {
                "event": "result",
                "stage": stage,
                "outcome": outcome,
                "message": _clean(bounded(message, MAX_SUMMARY)),
                "reason": reason,
                "exception": None if error is None else jsonable(record(error)),
                "seconds": round(seconds, 3),
            }
        )

    @contextmanager
    def answering(self, stage: str) -> Iterator[Answer]:
        """Run the block as this stage's question and write its one result; nothing the block raises gets out."""
        answer = Answer()
        started = time.perf_counter()
        try:
            yield answer
        except Decided as decided:
            self.result(
                stage,
                decided.outcome,
                message=str(decided),
                reason=decided.reason,
                error=decided.__cause__,
                seconds=time.perf_counter() - started,
            )
        except BaseException as error:
            blocked = only_the_driver_is_missing(error)
            self.result(
                stage,
                "blocked" if blocked else "fail",
                message=summary(error),
                reason=NO_DRIVER if blocked else None,
                error=error,
                seconds=time.perf_counter() - started,
            )
        else:
            answer.passed = True
            self.result(stage, "pass", message=answer.message, seconds=time.perf_counter() - started)

    def _write(self, event: Dict[str, Any]) -> None:
        if os.getpid() != self._process:
            return  # a forked copy of the probe has no say
        line = (json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(descriptor, line) < len(line):
                self._process = 0  # no more events: a torn line is known for what it is at the end of the file
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        finally:
            os.close(descriptor)


def summary(error: BaseException) -> str:
    """The exception in one line."""
    return f"{type_name(error)}: {message_of(error)}".replace("\n", " ").rstrip(": ")


def jsonable(value: Any, depth: int = MAX_DEPTH) -> Any:
    """``value`` as strict JSON: bounded, without NaN, lone surrogates or foreign types."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < MAX_INTEGER):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict) and depth:
        return {_clean(str(key)): jsonable(item, depth - 1) for key, item in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, (set, frozenset)):
        value = sorted(map(str, value))
    if isinstance(value, (list, tuple)) and depth:
        return [jsonable(item, depth - 1) for item in value[:MAX_ITEMS]]
    return _clean(bounded(str(value), MAX_TEXT))


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

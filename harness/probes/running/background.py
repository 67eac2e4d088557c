"""What goes wrong where nobody catches it: logged errors, and exceptions that end a background thread or a future.

A failed environment check of some engine versions is an error line followed by ``exit(1)``; a request that fails in an
engine's event loop is logged by a future's callback while its caller waits for ever. Both are remembered here.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from typing import Any, Deque, Optional

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LOGGED_ERRORS: Deque[str] = deque(maxlen=4)
"""The last error lines that anything logged."""


class Failures:
    """Exceptions that were logged as errors or ended a thread: how many, and the last."""

    def __init__(self) -> None:
        self.count = 0
        self.last: Optional[BaseException] = None

    def add(self, error: BaseException) -> None:
        """Remember one more."""
        self.last = error
        self.count += 1


FAILURES = Failures()


def watch() -> None:
    """Start remembering; whatever logs or reports them itself goes on doing so."""
    watch_logging()
    watch_threads()


def watch_logging() -> None:
    """Remember error records and the exceptions they carry, whichever logger they come from."""
    make = logging.getLogRecordFactory()

    def remembering(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        made = make(*arguments, **keywords)
        if made.levelno >= logging.ERROR:
            LOGGED_ERRORS.append(text_of(made))
            if made.exc_info and made.exc_info[1] is not None:
                FAILURES.add(made.exc_info[1])
        return made

    logging.setLogRecordFactory(remembering)


def watch_threads() -> None:
    """Remember what ended a thread."""
    report = threading.excepthook

    def remembering(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            FAILURES.add(ended.exc_value)
        report(ended)

    threading.excepthook = remembering


def text_of(made: logging.LogRecord) -> str:
    """The record's message without colours; its template where the arguments do not fit it."""
    try:
        return COLOURS.sub("", made.getMessage())
    except Exception as error:
        return f"{made.msg!r} (its arguments do not fit: {type(error).__name__})"

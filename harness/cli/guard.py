"""How commands end: one exit code for each class of ending, and one clear message for whatever a user can cause."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import click

from harness.core.errors import ExitCode, HarnessError
from harness.core.verdict import Status, Verdict
from harness.process.child import CHILDREN, Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.core.records import Record

P = ParamSpec("P")


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """Turn what a user can cause into one clear message and an exit code; a command that returns none ended well."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        _stop_on_request()
        logging.getLogger("stamina").addHandler(logging.NullHandler())  # that it tries again is nobody's concern
        try:
            code = command(*args, **kwargs) or ExitCode.OK
            sys.stdout.flush()
        except HarnessError as error:
            click.echo(error.told(), err=True)
            code = error.exit_code
        except BrokenPipeError:  # who reads has seen enough, such as head
            CHILDREN.stop()
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr] # it was there
            code = ExitCode.INTERRUPTED
        except UnicodeEncodeError as error:
            click.echo(f"harness: {error.object!r} is no text (UTF-8)", err=True)
            code = ExitCode.USAGE
        except OSError as error:
            click.echo(f"harness: {error}\n{_advice(error)}", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (KeyboardInterrupt, Cancelled):
            _ignore_further_requests()
            CHILDREN.stop()
            click.echo("\nharness: interrupted; what was finished is kept, run again to continue", err=True)
            code = ExitCode.INTERRUPTED
        sys.exit(code)

    return run


def _advice(error: OSError) -> str:
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return "nothing can be written there; --reports FOLDER and the variable HARNESS_HOME name other places"
    return "what was finished is kept; run again to continue"


def _stop_on_request() -> None:
    """Let SIGTERM, which is how a CI system or a service manager asks, end a command as Ctrl-C does."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(name) is not signal.SIG_IGN:  # started with nohup or in the background
                signal.signal(name, signal.default_int_handler)


def _ignore_further_requests() -> None:
    """One is enough: a second one would only interrupt the clearing up."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)


def exit_code(records: Sequence[Record]) -> ExitCode:
    """Infrastructure trouble outranks nothing: an unexpected verdict is reported even beside it."""
    if any(each.as_expected is False for each in records):
        return ExitCode.UNEXPECTED
    if any(Verdict.parse(each.verdict).status is Status.INFRA for each in records):
        return ExitCode.INFRASTRUCTURE
    return ExitCode.OK

"""How commands end: one exit code for each class of ending, and one clear message for whatever a user can cause."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from enum import IntEnum
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import click

from harness.child import CHILDREN, Cancelled
from harness.collect import RunUnderWay
from harness.interpreters import NoInterpreter
from harness.lock import InvalidLock
from harness.matrix import IndexUnavailable, MatrixError
from harness.query.language import BadQuery
from harness.run import RunBroken
from harness.scan.store import StoreUnusable
from harness.shards import UnusableShards
from harness.uv import UvFailure
from harness.verdict import Status, Verdict
from harness.workbench import NothingSelected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.records import Record

P = ParamSpec("P")


class ExitCode(IntEnum):
    """One code for each class of ending."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOTHING_TO_DO = 3
    """The gate: the change touches no combination."""
    INFRASTRUCTURE = 4
    OUTSTANDING = 5
    """The gate: something that must be tested could not be tested here."""
    INTERRUPTED = 130


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Turn what a user can cause into one clear message and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        _stop_on_request()
        logging.getLogger("stamina").addHandler(logging.NullHandler())  # that it tries again is nobody's concern
        try:
            code = command(*args, **kwargs)
        except MatrixError as error:
            click.echo(str(error), err=True)
            code = ExitCode.USAGE
        except (NothingSelected, NoInterpreter, InvalidLock, UnusableShards, BadQuery, StoreUnusable) as error:
            click.echo(f"harness: {error}", err=True)
            code = ExitCode.USAGE
        except click.UsageError:
            raise  # click words it and ends with 2
        except (IndexUnavailable, RunUnderWay, UvFailure) as error:
            click.echo(f"harness: {error}", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (RunBroken, OSError) as error:
            click.echo(f"harness: {error}\nwhat was finished is kept; run again to continue", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (KeyboardInterrupt, Cancelled):
            _ignore_further_requests()
            CHILDREN.stop()
            click.echo("\nharness: interrupted; what was finished is kept, run again to continue", err=True)
            code = ExitCode.INTERRUPTED
        sys.exit(code)

    return run


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

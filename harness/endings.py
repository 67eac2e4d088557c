"""How commands end: one exit code for each class of ending, and one clear message for whatever a user can cause."""

from __future__ import annotations

import sys
from enum import IntEnum
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import click

from harness.child import CHILDREN, Cancelled
from harness.matrix import IndexUnavailable, MatrixError
from harness.run import RunBroken
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
    INFRASTRUCTURE = 4
    INTERRUPTED = 130


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Turn what a user can cause into one clear message and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except MatrixError as error:
            click.echo(str(error), err=True)
            code = ExitCode.USAGE
        except NothingSelected as error:
            click.echo(f"harness: {error}", err=True)
            code = ExitCode.USAGE
        except click.UsageError:
            raise  # click words it and ends with 2
        except (IndexUnavailable, UvFailure) as error:
            click.echo(f"harness: {error}", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (RunBroken, OSError) as error:
            click.echo(f"harness: {error}\nwhat was finished is kept; run again to continue", err=True)
            code = ExitCode.INFRASTRUCTURE
        except (KeyboardInterrupt, Cancelled):
            CHILDREN.stop()
            click.echo("\nharness: interrupted; what was finished is kept, run again to continue", err=True)
            code = ExitCode.INTERRUPTED
        sys.exit(code)

    return run


def exit_code(records: Sequence[Record]) -> ExitCode:
    """Infrastructure trouble outranks nothing: an unexpected verdict is reported even beside it."""
    if any(each.as_expected is False for each in records):
        return ExitCode.UNEXPECTED
    if any(Verdict.parse(each.verdict).status is Status.INFRA for each in records):
        return ExitCode.INFRASTRUCTURE
    return ExitCode.OK

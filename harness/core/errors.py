"""How things end: one exit code for each class of ending, and the base of every error that a user can cause."""

from __future__ import annotations

from enum import IntEnum


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


class HarnessError(Exception):
    """Something that is told in plain words, and ends a command with the exit code of its class."""

    exit_code: ExitCode = ExitCode.USAGE

    def told(self) -> str:
        """What the terminal shows."""
        return f"harness: {self}"


class RunBroken(HarnessError, RuntimeError):  # noqa: N818 - reads as what happened
    """The harness itself cannot go on (a full disk, a folder that cannot be written); the message says why."""

    exit_code = ExitCode.INFRASTRUCTURE

    def told(self) -> str:
        """What happened, and that nothing is lost."""
        return f"harness: {self}\nwhat was finished is kept; run again to continue"

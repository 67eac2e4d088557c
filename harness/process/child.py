"""Child processes: each under a supervisor, and what became of it.

Every child is started by a supervisor (:mod:`harness.process.supervisor`), which enforces the limits and ends whatever
the child leaves behind. The child's events are the truth about its answers; its exit status only tells how it ended.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from harness.core.files import write_atomically
from harness.core.system import require_linux
from harness.core.untrusted_files import read_untrusted
from harness.process.given import given_to
from harness.process.redaction import redact
from harness.process.sandbox import ENTERED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOG = logging.getLogger(__name__)
WITHOUT_SANDBOX = "probes run without a sandbox (%s): what is tested can do what you can"
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
LOG_TAIL = 16_000
"""Characters of a child's log that are kept in a record; the whole log stays in a file."""
MAX_EVENT_BYTES = 2 * 1024 * 1024
"""More than this is not what a probe writes: those are kilobytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: seconds, seconds without a sign of life, bytes, processes, bytes on the disk."""

    wall: float = 600.0
    idle: float = 180.0
    memory: int = 16 * 1024**3
    processes: int = 256
    scratch: int = 16 * 1024**3


@dataclass(frozen=True, slots=True)
class ChildReport:
    """How a child ended and what it said.

    ``end`` is ``exited``, ``wall``, ``idle``, ``memory``, ``processes``, ``scratch``, ``lingered`` (said all it had to
    say and would not exit), ``disk`` (exited while that was full), ``cancelled`` or ``not-started``.
    """

    end: str
    exit_code: int | None
    seconds: float
    peak_memory_mib: float
    leaked: int
    log: str
    events: bytes = b""
    """What it wrote to the file of its events, as it stands: :mod:`harness.pipeline.events` reads it."""
    message: str = ""
    sandbox: str = ""
    """``namespaces``, or why the child ran without them; empty: it was not asked for."""
    spoilt: str = ""
    """Why nothing that it wrote can be believed; empty: nothing speaks against it."""

    @property
    def signal_name(self) -> str | None:
        """The signal that ended the child, e.g. ``SIGSEGV``; None if none did."""
        if self.exit_code is None or self.exit_code >= 0:
            return None
        try:
            return signal.Signals(-self.exit_code).name
        except ValueError:
            return f"signal {-self.exit_code}"


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked to stop
    """The run is being stopped; the child was killed and its answer does not count."""


MARK = "HARNESS_CHILD"
"""Environment variable by which everything a child starts is known as its own."""
PATIENCE = 30.0
"""Seconds after its child's wall limit within which a supervisor must have ended it and given its account."""
_NO_ACCOUNT: Mapping[str, Any] = {"end": "exited", "seconds": 0.0, "peak": 0, "leaked": 0}
"""Of a child that killed its supervisor, or with it."""


_PASSING = {errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE}
"""Want of something that there may be more of in a moment."""


@dataclass(slots=True)
class Children:
    """All supervisors of this process, so that stopping the harness stops them at once."""

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False
    _sandbox: str | None = None
    """``namespaces``, or why no child can be shut in here; None: not tried yet."""
    _trying: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        """Kill every child; those that would start from now on do not."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for supervisor in running:
            with suppress(OSError):  # it may have ended by itself
                supervisor.terminate()

    def sandbox(self) -> str:
        """``namespaces``, or why nobody is shut in here.

        Tried once, with a child that does nothing, before there is one to distrust, and told where it is not so. From
        then on a child that cannot be shut in as that one was does not run.

        Raises:
            Cancelled: :meth:`stop` was called.
            OSError: it could not be found out, for want of memory or of processes: then nothing is to run.
        """
        with self._trying:
            if self._sandbox is None:
                argv = [sys.executable, "-I", "-S", "-c", ""]
                account = self._run(_order(argv, {}, Path("/"), Limits(), given_to(argv, {}, [], [])))
                if account.get("errno") in _PASSING:
                    raise OSError(account["errno"], str(account["message"]))
                self._sandbox = str(account.get("sandbox") or account.get("message") or account["end"])
                if self._sandbox != ENTERED:
                    _LOG.warning(WITHOUT_SANDBOX, self._sandbox)
            return self._sandbox

    def run(  # noqa: PLR0913 - one keyword for each thing a child is given
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        limits: Limits = Limits(),
        log: Path | None = None,
        events: Path | None = None,
        writable: Sequence[Path] | None = None,
        readable: Sequence[Path] = (),
    ) -> ChildReport:
        """Run ``argv`` under a supervisor and wait for its end.

        Args:
            argv: the program and its arguments.
            environment: all its environment variables.
            folder: where it works.
            limits: what it may use.
            log: file for what it prints, without secrets; None: the report alone has it.
            events: the file it writes its events to.
            writable: it runs without a network and can write in these folders only, the first of which is its
                scratch; on a host that cannot do that (:meth:`sandbox`) it runs without. None: it is as free as the
                harness.
            readable: what else of this machine it can see, beside the system's programs and libraries and what
                ``argv`` names.

        Raises:
            Cancelled: :meth:`stop` was called.
            NeedsLinux: there is no supervisor on this system.
            OSError: the log could not be written.
        """
        require_linux()
        given, without = None, ""
        if writable is not None:
            sandbox = self.sandbox()
            if sandbox == ENTERED:
                given = given_to(argv, environment, writable, readable)
            else:
                without = sandbox
        order = _order(argv, environment, folder, limits, given)
        order["events"] = str(events) if events is not None else os.devnull
        order["scratch"] = str(writable[0]) if writable else None
        account = self._run(order)
        text = redact(str(account.get("log", "")))
        if log is not None:
            write_atomically(log, text)
        return ChildReport(
            end=str(account["end"]),
            exit_code=account.get("exit"),
            seconds=float(account["seconds"]),
            peak_memory_mib=round(int(account["peak"]) / 2**20, 1),
            leaked=int(account["leaked"]),
            log=text,
            events=read_events(events) if events is not None else b"",
            message=redact(str(account.get("message", ""))),
            sandbox=str(account.get("sandbox") or without),
        )

    def _run(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The account of one order.

        Raises:
            Cancelled: :meth:`stop` was called.
            OSError: the supervisor gave none.
        """
        with self._lock:
            if self._stopped:
                raise Cancelled
            # the supervisor reads its order first, so starting it under the lock costs a millisecond
            supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={"PATH": os.defpath},
            )
            self._running.add(supervisor)
        try:
            account = self._await(supervisor, order)
        finally:
            with self._lock:
                self._running.discard(supervisor)
        if account["end"] == "cancelled" or self._stopped:
            raise Cancelled
        return account

    def _await(self, supervisor: subprocess.Popen[bytes], order: Mapping[str, Any]) -> dict[str, Any]:
        if supervisor.stdin is None or supervisor.stdout is None or supervisor.stderr is None:
            raise AssertionError("Popen was asked for pipes")
        # stdin stays open until the account is in: its end is how the supervisor learns that the harness died
        with supervisor.stdin, supervisor.stdout, supervisor.stderr:
            with suppress(BrokenPipeError):  # the account below tells why it is gone
                supervisor.stdin.write(json.dumps(order).encode() + b"\n")
                supervisor.stdin.flush()
            # an account is due soon after the wall limit; a supervisor that gives none was stopped by its child
            due = threading.Timer(float(order["wall"]) + PATIENCE, supervisor.kill)
            due.daemon = True
            due.start()
            try:
                answer = supervisor.stdout.read()
                complaint = supervisor.stderr.read().decode(errors="replace")
            finally:  # an interruption ends the waiting too
                due.cancel()
        supervisor.wait()
        if not answer:
            if self._stopped:
                raise Cancelled
            if supervisor.returncode < 0:
                _bury(order["env"][MARK])
                return {**_NO_ACCOUNT, "exit": supervisor.returncode}
            raise OSError(f"the supervisor ended with {supervisor.returncode} and no account: {complaint[-500:]}")
        account: dict[str, Any] = json.loads(answer)
        return account


def _order(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    limits: Limits,
    given: Mapping[str, Sequence[str]] | None,
) -> dict[str, Any]:
    """What a supervisor is told."""
    return {
        "argv": list(argv),
        "env": {**environment, MARK: uuid.uuid4().hex},
        "cwd": str(folder),
        "events": os.devnull,
        "given": given,
        "scratch": None,
        "scratch_bytes": limits.scratch,
        "wall": limits.wall,
        "idle": limits.idle,
        "memory": limits.memory,
        "processes": limits.processes,
    }


def _bury(mark: str) -> None:
    """End what a child left whose supervisor is gone; its processes are known by the mark in their environment."""
    while True:
        left = [each for each in psutil.process_iter(["environ"]) if (each.info["environ"] or {}).get(MARK) == mark]
        for each in left:
            with suppress(psutil.Error):  # gone by itself
                each.kill()
        if not psutil.wait_procs(left, timeout=1)[0]:
            return


def read_events(path: Path) -> bytes:
    """What a child wrote there, and a byte more where that is too much."""
    return read_untrusted(path.parent, path.name, MAX_EVENT_BYTES + 1) or b""


CHILDREN = Children()
"""Every child of this process goes through here, so that one call stops them all."""

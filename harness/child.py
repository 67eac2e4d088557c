"""Running one probe in a tested environment, and what became of it.

Every child is started by a warden (:mod:`harness.warden`), which enforces the limits and buries whatever the child
leaves behind. The child's events are the truth about its answers; its exit status only tells how it ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from harness.bytecode import keep_bytecode
from harness.compiled import lend_compiled
from harness.durable import write_atomically
from harness.rooms import room
from harness.secrets import child_environment, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

_WARDEN = Path(__file__).with_name("warden.py")
PROBES = Path(__file__).with_name("probes")
LOG_TAIL = 16_000
"""Characters of a child's log that are kept in a record; the whole log stays in a file."""
_MARKED = re.compile("\n\x1e([^\x1e\n]+)\x1e\n")
"""Before each request's output, as the probes' batch writes it."""
SWITCH = "HARNESS_SANDBOX"
"""Environment variable; ``off`` lets probes run without namespaces."""
_WITHOUT = "none: switched off, or a GPU driver that does not start in one"
GPU_DRIVER = "/dev/nvidiactl"
MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Events beyond this are not read: a probe writes kilobytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: seconds, seconds without a sign of life, bytes, processes."""

    wall: float = 600.0
    idle: float = 180.0
    memory: int = 16 * 1024**3
    processes: int = 256


@dataclass(frozen=True, slots=True)
class ChildReport:
    """How a child ended and what it said.

    ``end`` is ``exited``, ``wall``, ``idle``, ``memory``, ``processes``, ``lingered`` (said all it had to say and
    would not exit), ``cancelled`` or ``not-started``.
    """

    end: str
    exit_code: int | None
    seconds: float
    peak_memory_mib: float
    leaked: int
    log: str
    events: tuple[dict[str, JsonValue], ...] = ()
    message: str = ""
    sandbox: str = ""
    """``namespaces``, or why the child ran without them; empty: it was not asked for."""

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
_NO_ACCOUNT: Mapping[str, Any] = {"end": "exited", "seconds": 0.0, "peak": 0, "leaked": 0}
"""Of a child that killed its warden, or with it."""


@dataclass(slots=True)
class Children:
    """All wardens of this process, so that stopping the harness stops them at once."""

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def stop(self) -> None:
        """Kill every child; those that would start from now on do not."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for warden in running:
            with suppress(OSError):  # it may have ended by itself
                warden.terminate()

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
    ) -> ChildReport:
        """Run ``argv`` under a warden and wait for its end.

        Args:
            argv: the program and its arguments.
            environment: all its environment variables.
            folder: where it works.
            limits: what it may use.
            log: file for what it prints, without secrets; None: the report alone has it.
            events: the file it writes its events to.
            writable: it runs without a network and can write in these folders only, where the host can do that; None:
                it is as free as the harness.

        Raises:
            Cancelled: :meth:`stop` was called.
            OSError: the log could not be written.
        """
        order = {
            "argv": list(argv),
            "env": {**environment, MARK: uuid.uuid4().hex},
            "cwd": str(folder),
            "events": str(events) if events is not None else os.devnull,
            "writable": [str(each) for each in writable] if writable is not None else None,
            "wall": limits.wall,
            "idle": limits.idle,
            "memory": limits.memory,
            "processes": limits.processes,
        }
        with self._lock:
            if self._stopped:
                raise Cancelled
            # the warden reads its order first, so starting it under the lock costs a millisecond
            warden = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_WARDEN)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={"PATH": os.defpath},
            )
            self._running.add(warden)
        try:
            account = self._await(warden, order)
        finally:
            with self._lock:
                self._running.discard(warden)
        if account["end"] == "cancelled" or self._stopped:
            raise Cancelled
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
            events=_read_events(events) if events is not None else (),
            message=redact(str(account.get("message", ""))),
            sandbox=str(account.get("sandbox", "")),
        )

    def _await(self, warden: subprocess.Popen[bytes], order: Mapping[str, Any]) -> dict[str, Any]:
        if warden.stdin is None or warden.stdout is None or warden.stderr is None:
            raise AssertionError("Popen was asked for pipes")
        # stdin stays open until the account is in: its end is how the warden learns that the harness died
        with warden.stdin, warden.stdout, warden.stderr:
            with suppress(BrokenPipeError):  # the account below tells why it is gone
                warden.stdin.write(json.dumps(order).encode() + b"\n")
                warden.stdin.flush()
            answer = warden.stdout.read()
            complaint = warden.stderr.read().decode(errors="replace")
        warden.wait()
        if not answer:
            if self._stopped:
                raise Cancelled
            if warden.returncode < 0:
                _bury(order["env"][MARK])
                return {**_NO_ACCOUNT, "exit": warden.returncode}
            raise OSError(f"the warden ended with {warden.returncode} and no account: {complaint[-500:]}")
        account: dict[str, Any] = json.loads(answer)
        return account


def _bury(mark: str) -> None:
    """End what is left of a child whose warden is gone; its processes are known by the mark in their environment."""
    while True:
        left = [each for each in psutil.process_iter(["environ"]) if (each.info["environ"] or {}).get(MARK) == mark]
        for each in left:
            with suppress(psutil.Error):  # gone by itself
                each.kill()
        if not psutil.wait_procs(left, timeout=1)[0]:
            return


CHILDREN = Children()
"""Every child of this process goes through here, so that one call stops them all."""


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """Requests to the probes of one environment: one, or several that share what ``preload`` loads.

    ``limits.wall`` is each request's own.
    """

    python: Path
    requests: Sequence[Mapping[str, object]]
    limits: Limits
    environment: Mapping[str, str] = field(default_factory=dict)
    preload: Sequence[str] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """Folders of this machine, and what logs call them: the same failure reads the same everywhere."""


def run_probes(call: ProbeCall, scratch_root: Path, log: Path) -> list[ChildReport | None]:
    """Start the probes and return what each request came to; the scratch folder is gone afterwards.

    None stands for a request that was not begun, because the process ended over an earlier one.

    Raises:
        Cancelled: the run is being stopped.
        OSError: the scratch folder or the log cannot be written.
    """
    scratch = Path(tempfile.mkdtemp(prefix="probe-", dir=room(scratch_root)))
    try:
        for name in ("home", "tmp"):
            (scratch / name).mkdir()
        files = [_write_request(scratch, number, request) for number, request in enumerate(call.requests)]
        batch = scratch / "batch.json"
        order = {"batch": [str(each) for each in files], "preload": list(call.preload), "wall": call.limits.wall}
        batch.write_text(json.dumps({**order, "events": str(scratch / "batch.jsonl")}))
        writable = [scratch] if wanted() else None
        lend_compiled(CHILDREN, call.python, scratch, writable)
        single = len(files) == 1
        report = CHILDREN.run(
            [str(call.python), "-I", str(PROBES / "start.py"), str(files[0] if single else batch)],
            environment=child_environment(
                home=str(scratch / "home"), scratch=str(scratch / "tmp"), extra=call.environment
            ),
            folder=scratch,
            log=log,
            events=_events_of(files[0]) if single else scratch / "batch.jsonl",
            limits=call.limits if single else replace(call.limits, wall=call.limits.wall * (len(files) + 1)),
            writable=writable,
        )
        keep_bytecode(CHILDREN, call.python, scratch, [call.python.parent.parent, PROBES])
        places = {**call.places, str(scratch): "<scratch>"}
        return [_with_sandbox(_placed(each, places), report.sandbox) for each in _parts(report, files)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _parts(report: ChildReport, files: Sequence[Path]) -> list[ChildReport | None]:
    return [report] if len(files) == 1 else _divided(report, files)


def _with_sandbox(report: ChildReport | None, sandbox: str) -> ChildReport | None:
    """The report, with the protection it ran under among its facts."""
    if report is None:
        return None
    fact: dict[str, JsonValue] = {"event": "fact", "name": "sandbox", "value": sandbox or _WITHOUT}
    return replace(report, events=(fact, *report.events), sandbox=sandbox)


def wanted() -> bool:
    """Whether probes are to be shut in, as they are unless the user says otherwise or there is a GPU driver.

    The driver does not start where ``/proc`` is read-only (seen with an H200: ``cuInit`` answers 304), and a probe that
    cannot see the GPU would blame the stack for it.
    """
    return not Path(GPU_DRIVER).exists() and os.environ.get(SWITCH, "").lower() not in {"off", "0", "no"}


def _placed(report: ChildReport | None, places: Mapping[str, str]) -> ChildReport | None:
    """The report, with this machine's folders called by their names in log and events, the longest first."""
    if report is None:
        return None
    log, events = report.log, json.dumps(report.events)
    for folder in sorted(places, key=len, reverse=True):
        log = log.replace(folder, places[folder])
        events = events.replace(json.dumps(folder)[1:-1], places[folder])
    return replace(report, log=log, events=tuple(json.loads(events)))


def _write_request(scratch: Path, number: int, request: Mapping[str, object]) -> Path:
    work = scratch / f"work-{number}"
    work.mkdir()
    file = scratch / f"request-{number}.json"
    file.write_text(json.dumps({**request, "events": str(_events_of(file)), "scratch": str(work)}))
    return file


def _events_of(request: Path) -> Path:
    return request.with_suffix(".events.jsonl")


def _divided(report: ChildReport, files: Sequence[Path]) -> list[ChildReport | None]:
    """The batch's report, one for each request: its own end, its own events, its own part of the log."""
    ended = {str(event.get("request")): event for event in report.events if event["event"] == "ended"}
    _, *marked = _MARKED.split(report.log)
    logs = dict(zip(marked[::2], marked[1::2], strict=True))
    found: list[ChildReport | None] = []
    for file in files:
        name = str(file)
        end = ended.get(name)
        if end is None and name not in logs:
            found.append(None)
            continue
        events, log = _read_events(_events_of(file)), logs.get(name, "").strip("\n")
        if end is None:  # the one over which the process ended
            found.append(replace(report, log=log, events=events))
            continue
        facts: dict[str, Any] = end
        found.append(
            ChildReport(
                end=str(facts["end"]),
                exit_code=int(facts["exit"]),
                seconds=float(facts["seconds"]),
                peak_memory_mib=round(int(facts["peak"]) / 2**20, 1),
                leaked=int(facts["left"]),
                log=log,
                events=events,
            )
        )
    return found


def _read_events(path: Path) -> tuple[dict[str, JsonValue], ...]:
    """Every whole event; a torn or foreign line is dropped, since the child may have died while writing it.

    What is no ordinary file any more holds no events: the child can put anything there, and a pipe blocks its reader.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ()
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_EVENT_BYTES)
    finally:
        os.close(descriptor)
    found: list[dict[str, JsonValue]] = []
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                found.append(event)
    return tuple(found)

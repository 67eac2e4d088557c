"""The process that stands between the harness and one child, so that nothing the child started outlives it.

Run as ``python -I -S supervisor.py``: standard library only, single-threaded, one JSON order on the first line of
standard input, one JSON account on standard output. It

* starts the child in a session of its own and adopts whatever the child orphans (``PR_SET_CHILD_SUBREAPER``);
* shuts the child in, where its order asks for it and the host can (:mod:`harness.process.sandbox`);
* kills the whole tree on the wall limit, the idle limit, the memory ceiling, the process ceiling, or when standard
  input closes, which is what happens when the harness dies, ``kill -9`` included;
* keeps the head and the tail of what the child prints, so that five gigabytes of output cost two megabytes, and hands
  them over without writing them anywhere: what a child prints may hold secrets, and only the harness removes those.

Times are seconds, memory is bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from importlib.machinery import SourceFileLoader
from types import ModuleType

TYPE_CHECKING = False  # typing and pathlib take as long to load as all that is needed
if TYPE_CHECKING:
    from typing import Any

    from harness.process.survey import Survey

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL = 0.05
"""Seconds between two looks at the clock when nothing is printed."""
SURVEY = 0.25
"""Seconds between two looks at the tree's memory and processor time."""
GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""
HEAD_BYTES = 512 * 1024
TAIL_BYTES = 1536 * 1024
LINE_SOUGHT = 4096
"""Bytes given up at each side of a gap in the log to end and begin with whole lines: half a secret is one as well."""
END_EVENT = b'{"event": "end"}\n'
LINGER = 3.0
"""Seconds a child may take to exit after its last event; then it is ended, and its answers count."""
BUSY_CPU = 0.5
"""A tree that used this many seconds of processor time since it last printed is not idle."""


def _beside(name: str) -> Any:  # noqa: ANN401 - a module that is not imported by name
    module = ModuleType(f"harness_{name}")
    file = os.path.join(os.path.dirname(__file__), f"{name}.py")  # noqa: PTH118, PTH120 - as said above
    SourceFileLoader(module.__name__, file).exec_module(module)
    return module


_sandbox, _survey, _system_calls = _beside("sandbox"), _beside("survey"), _beside("system_calls")


def _prctl(option: int, value: int) -> None:
    # Linux only; elsewhere the process group and the closing pipe still do most of the work.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Log:
    """The head and the tail of a stream, bounded, written beside each other in one file."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.tail: deque[bytes] = deque()
        self.tail_size = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take what was just read."""
        self.total += len(data)
        room = HEAD_BYTES - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        if data:
            self.tail.append(data)
            self.tail_size += len(data)
            while self.tail_size - len(self.tail[0]) > TAIL_BYTES:
                self.tail_size -= len(self.tail.popleft())

    def text(self) -> str:
        """What was kept, with one line saying how much was not."""
        dropped = self.total - len(self.head) - self.tail_size
        head, tail = bytes(self.head), b"".join(self.tail)
        if dropped:
            end = head.rfind(b"\n", len(head) - LINE_SOUGHT) + 1 or len(head)
            begin = tail.find(b"\n", 0, LINE_SOUGHT) + 1
            dropped += len(head) - end + begin
            head = head[:end] + b"\n[... %d bytes of output left out ...]\n" % dropped
            tail = tail[begin:]
        return (head + tail).decode(errors="replace")


class Supervisor:
    """Runs one order to its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.log = Log()
        self.end = ""
        self.peak = 0
        self.started = time.monotonic()
        self.last_sign = self.started
        self.cpu_at_sign = 0.0
        self.next_survey = self.started + SURVEY
        self.event_size = 0
        self.said_end = 0.0
        self.cancelled = False
        self.outermost: int | None = None
        """The first of the two processes between this one and a child that is shut in."""
        self.free = _survey.free(order["scratch"])

    def run(self) -> dict[str, Any]:
        """Start the child, watch it, bury it, and give the account of it."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        read_end, write_end = os.pipe()
        heard, tell = os.pipe()
        try:
            child, sandbox = self._start(write_end, heard, tell)
        except OSError as error:
            told = {"message": str(error), "errno": error.errno}
            return {"end": "not-started", **told, "exit": None, "seconds": 0.0, "peak": 0, "leaked": 0}
        finally:
            os.close(write_end)
            os.close(tell)
        self.outermost = child.pid if sandbox == _sandbox.ENTERED else None
        os.set_blocking(read_end, False)
        exit_code = self._watch(child, read_end)
        seconds = time.monotonic() - self.started
        leaked = self._left_behind() if exit_code is not None else 0
        self._kill_tree()
        if exit_code is None:
            exit_code = child.wait()
        self._reap_adopted()
        self._drain(read_end)
        exit_code, leaked = self._passed_on(heard, exit_code, leaked)
        return {
            "end": self.end or "exited",
            "exit": exit_code,
            "seconds": round(seconds, 4),
            "peak": self.peak,
            "leaked": leaked,
            "printed": self.log.total,
            "log": self.log.text(),
            "sandbox": sandbox,
        }

    def _passed_on(self, heard: int, exit_code: int, leaked: int) -> tuple[int, int]:
        """How a child that is shut in ended, and what it left, where somebody was left to say it."""
        told = os.read(heard, 4096) if self.outermost is not None else b""
        os.close(heard)
        if not told.startswith(b"\n"):
            return exit_code, leaked
        code, left = told.split()
        return int(code), int(left)

    def _start(self, output: int, heard: int, tell: int) -> tuple[subprocess.Popen[bytes], str]:
        """The child, and what its sandbox is.

        Raises:
            OSError: there is no child, or it could not be shut in where it was to be.
        """
        given = self.order["given"]
        try:
            child = self._popen(output, tell, given)
            return child, os.read(heard, 4096).decode() if given is not None else ""
        except subprocess.SubprocessError as error:
            number, _, why = os.read(heard, 4096).decode().partition(" ")
            raise OSError(int(number or 0), f"the sandbox cannot be entered: {why}") from error

    def _popen(self, output: int, tell: int, given: dict[str, list[str]] | None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.order["argv"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=self.order["env"],
            cwd=self.order["cwd"],
            start_new_session=True,
            preexec_fn=lambda: self._before_exec(tell, given),  # noqa: PLW1509 - no threads here
        )

    def _before_exec(self, tell: int, given: dict[str, list[str]] | None) -> None:
        """What the child does to itself before it becomes its program."""
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _sandbox.confine()
        if given is not None:
            try:
                _sandbox.enter(given, self.order["cwd"], tell)
            except OSError as error:
                os.write(tell, f"{error.errno or 0} {error.strerror or error}".encode())
                raise
            _system_calls.forbid(ctypes.CDLL(None))

    def _watch(self, child: subprocess.Popen[bytes], stream: int) -> int | None:
        """Read until the child is gone or a limit is hit; the exit status, or None when it must be killed."""
        sources = [stream, 0]
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # an old kernel: the clock below still looks every POLL seconds
                sources.append(os.pidfd_open(child.pid))
        while True:
            ready, _, _ = select.select(sources, [], [], POLL)
            if stream in ready and not self._read(stream):
                sources.remove(stream)
            if self.cancelled or (0 in ready and not os.read(0, 4096)):
                self.end = "cancelled"
                return None
            status = child.poll()
            if status is not None:
                return status
            self.end = self._limit_hit()
            if self.end:
                return None

    def _read(self, stream: int) -> bool:
        try:
            data = os.read(stream, 1 << 18)
        except BlockingIOError:
            return True
        if data:
            self.log.add(data)
            self.last_sign = time.monotonic()
            self.cpu_at_sign = -1.0
        return bool(data)

    def _drain(self, stream: int) -> None:
        while select.select([stream], [], [], 0)[0] and self._read(stream):
            pass
        os.close(stream)

    def _limit_hit(self) -> str:  # noqa: PLR0911 - one for each limit
        now = time.monotonic()
        if now - self.started > self.order["wall"]:
            return "wall"
        if now < self.next_survey:
            return ""
        self.next_survey = now + SURVEY
        survey = _survey.Survey(os.getpid(), self.outermost)
        survey.add_files_in_memory()
        self.peak = max(self.peak, survey.memory)
        if survey.memory > self.order["memory"]:
            return "memory"
        if len(survey.pids) > self.order["processes"]:
            return "processes"
        if self._fills_the_disk(survey.pids):
            return "scratch"
        self._note_signs(survey, now)
        if self.said_end and now - self.said_end > LINGER:
            return "lingered"
        return "idle" if now - self.last_sign > self.order["idle"] else ""

    def _fills_the_disk(self, pids: list[int]) -> bool:
        """Whether the scratch folder holds more than it may; looked into where the disk has that much less."""
        scratch, most = self.order["scratch"], self.order["scratch_bytes"]
        if scratch is None or self.free - _survey.free(scratch) <= most:
            return False
        return bool(_survey.bytes_in(scratch) + sum(map(_survey.unnamed, pids)) > most)

    def _note_signs(self, survey: Survey, now: float) -> None:
        with contextlib.suppress(OSError):  # no event yet: no file yet
            size = os.lstat(self.order["events"]).st_size
            if size != self.event_size:
                self.event_size, self.last_sign = size, now
                # the child can have put anything there; a pipe would block us
                events = os.open(self.order["events"], os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
                try:
                    end = os.pread(events, len(END_EVENT), max(0, size - len(END_EVENT)))
                finally:
                    os.close(events)
                self.said_end = now if end == END_EVENT else 0.0
        if self.cpu_at_sign < 0 or survey.cpu < self.cpu_at_sign:
            self.cpu_at_sign = survey.cpu
        elif survey.cpu - self.cpu_at_sign >= BUSY_CPU:
            self.cpu_at_sign, self.last_sign = survey.cpu, now

    @staticmethod
    def _reap_adopted() -> None:
        """Collect the orphans that were killed; not every init does it for us."""
        deadline = time.monotonic() + 1.0
        with contextlib.suppress(ChildProcessError):  # none left
            while time.monotonic() < deadline:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.005)

    @staticmethod
    def _left_behind() -> int:
        """How many descendants outlive the child, once those that were just leaving have left."""
        deadline = time.monotonic() + 0.3
        while (left := len(_survey.Survey(os.getpid()).pids)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def _kill_tree(self) -> None:
        """TERM, then KILL, until no descendant is left; orphans were adopted, so none can hide.

        Too many processes are most likely multiplying: those are stopped first, since what is stopped does not fork.
        """
        deadline = time.monotonic() + (GRACE if self.end != "processes" else 0.0)
        sent: tuple[signal.Signals, ...] = (signal.SIGTERM,)
        while True:
            survey = _survey.Survey(os.getpid(), self.outermost)
            pids = survey.pids + survey.between
            if not pids:
                return
            if time.monotonic() > deadline:
                sent = (signal.SIGSTOP, signal.SIGKILL)
            for each in sent:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):  # gone by itself
                        os.kill(pid, each)
            time.sleep(0.02)


def main() -> int:
    """Read the order, run it, print the account."""
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # the harness decides; its end closes our standard input
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 65536)
        if not byte:
            return 1
        line += byte
    supervisor = Supervisor(json.loads(line))

    def cancel(_signal: int, _frame: object) -> None:
        supervisor.cancelled = True

    signal.signal(signal.SIGTERM, cancel)
    account = supervisor.run()
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        sys.stdout.write(json.dumps(account))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a child can do to the harness: each fault is the vision builder of a miniature lmdeploy, run by a real run."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.verdict import Verdict
from harness.process.child import Children, ChildReport, Limits
from tests.chaos.ground import orphans, scratch_left
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.records import Record
    from tests.chaos.ground import Ground
    from tests.chaos.registry import Setting, Tally

MIB = 2**20
MATRIX = """\
version: 1
axes: {{python: "3.11", lmdeploy: ["{version}"], transformers: ["4.57.3"], backend: [pytorch], model: [mini]}}
timeouts:
  import: {{wall: {wall}s, idle: {idle}s}}
"""
FIND_EVENTS = """
import gc
events = next(each for each in gc.get_objects() if type(each).__name__ == "Events" and hasattr(each, "answered"))
"""
"""What a hostile package can do to find the file of events."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a child does, and the verdict's beginning that is right for it."""

    name: str
    what: str
    code: str
    verdict: str
    """Beginning of the canonical string."""
    left: int = 0
    """Processes the record has to say it left behind, at least."""
    idle: int = 3
    """Seconds without a sign of life that it is given."""


BEHAVIOURS = (
    Behaviour("hangs-silently", "sleeps for ever", "import time\ntime.sleep(3600)", "fail/import/timeout"),
    Behaviour(
        "hangs-printing",
        "prints for ever",
        "import time\nwhile True:\n    print('still here', flush=True)\n    time.sleep(0.01)",
        "fail/import/timeout",
    ),
    Behaviour("spins", "computes for ever", "while True:\n    pass", "fail/import/timeout"),
    Behaviour(
        "ignores-sigterm",
        "ignores SIGTERM, SIGINT and SIGHUP and sleeps",
        "import signal, time\nfor each in (1, 2, 15): signal.signal(each, signal.SIG_IGN)\ntime.sleep(3600)",
        "fail/import/timeout",
    ),
    Behaviour(
        "forks-daemon",
        "leaves a daemon in a session of its own, parent gone, all files closed, SIGTERM ignored",
        """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(15, signal.SIG_IGN)
        os.closerange(0, 256)
        time.sleep(3600)
    os._exit(0)
time.sleep(0.3)
raise RuntimeError("left a daemon")
""",
        "fail/import/",
        left=1,
    ),
    Behaviour(
        "forks-bomb",
        "forks without end (stopped by itself at 1,200 processes)",
        """
import os, time
board = os.path.join(os.environ["TMPDIR"], "bomb")
while True:
    with open(board, "a") as file:
        file.write("x")
    if os.path.getsize(board) > 1200:
        time.sleep(3600)
    os.fork()
    time.sleep(0.01)
""",
        "fail/import/crash",
        idle=30,
    ),
    Behaviour("aborts", "calls abort()", "import os\nos.abort()", "fail/import/crash(SIGABRT)"),
    Behaviour("segfaults", "reads address zero", "import ctypes\nctypes.string_at(0)", "fail/import/crash(SIGSEGV)"),
    Behaviour(
        "oom-killed",
        "is killed with SIGKILL from outside, as the kernel does when memory runs out",
        "import os\nos.kill(os.getpid(), 9)",
        "infra/import/out-of-memory",
    ),
    Behaviour("exits-0-unrecorded", "exits 0 without a record", "import os\nos._exit(0)", "fail/import/crash"),
    Behaviour(
        "never-exits",
        "has its record written and never exits: its exits sleep",
        "import os, time\nos._exit = lambda status: time.sleep(3600)",
        "",
    ),
    Behaviour(
        "closes-everything",
        "closes every file it has, events and log included, then fails",
        "import os\nos.closerange(0, 1024)\nraise RuntimeError('in the dark')",
        "fail/import/",
    ),
    Behaviour(
        "destroys-events",
        "replaces the file of its events by a folder and exits",
        f"{FIND_EVENTS}\nimport os\nos.unlink(events.path)\nos.mkdir(events.path)\nos._exit(0)",
        "fail/import/crash",
    ),
    Behaviour(
        "pipes-events",
        "replaces the file of its events by a pipe, which blocks whoever opens it",
        f"{FIND_EVENTS}\nimport os, time\nos.unlink(events.path)\nos.mkfifo(events.path)\ntime.sleep(3600)",
        "fail/import/timeout",
    ),
    Behaviour(
        "floods-events",
        "writes 64 MB of broken events",
        f"{FIND_EVENTS}\nwith open(events.path, 'ab') as file:\n    for _ in range(1000): file.write(b'{{' * 65536)\n"
        "import os\nos._exit(0)",
        "fail/import/crash",
    ),
    Behaviour(
        "kills-its-supervisor",
        "leaves a process in a session of its own and kills its supervisor",
        """
import os, time
def of(pid, what):
    return open(f"/proc/{pid}/{what}").read()
pid = os.getpid()
while "supervisor.py" not in of(pid, "cmdline"):
    pid = int(of(pid, "stat").rpartition(")")[2].split()[1])
if os.fork() == 0:
    os.setsid()
    time.sleep(3600)
os.kill(pid, 9)
time.sleep(3600)
""",
        "infra/import/",
    ),
    Behaviour(
        "stops-its-supervisor",
        "stops its supervisor with SIGSTOP, which nothing can refuse, and goes on for ever",
        """
import os, time
def of(pid, what):
    return open(f"/proc/{pid}/{what}").read()
pid = os.getpid()
while "supervisor.py" not in of(pid, "cmdline"):
    pid = int(of(pid, "stat").rpartition(")")[2].split()[1])
os.kill(pid, 19)
while True:
    time.sleep(1)
""",
        "fail/import/timeout",
    ),
    Behaviour(
        "kills-its-group",
        "sends SIGKILL to its whole process group",
        "import os\nos.killpg(0, 9)",
        "infra/import/out-of-memory",
    ),
)


def run_one(ground: Ground, tally: Tally, code: str, idle: int = 3, before: Callable[[], None] | None = None) -> Record:
    """Run one combination whose vision builder is ``code``; its record, and whatever it left counted."""
    version = ground.lmdeploy(f"9.{len(list((ground.index / 'wheels').glob('lmdeploy-9.*')))}", code)
    project = ground.project(MATRIX.format(version=version, idle=idle, wall=idle + 5))
    ended = ground.harness(project, "run", before=before)
    tally.tracebacks += ended.traceback
    tally.orphans += orphans() + scratch_left(project)
    records = ground.records(project)
    ground.clear(project)
    expect(ended.code in {0, 1, 4}, f"the harness ended with {ended.code}: {ended.err[-300:]}")
    expect(len(records) == 1, f"{len(records)} records instead of one: {ended.err[-300:]}")
    return records[0]


def _register(behaviour: Behaviour) -> None:
    @fault("processes", behaviour.name, f"the child {behaviour.what}")
    def scenario(setting: Setting, tally: Tally) -> None:
        with tally.injection(behaviour.name):
            record = run_one(setting.ground, tally, behaviour.code, behaviour.idle)
            text = str(Verdict.parse(record.verdict))
            expect(text.startswith(behaviour.verdict), f"the verdict is {text}, not {behaviour.verdict}…")
            facts = [check.facts.get("processes_left_behind", 0) for each in record.stages for check in each.checks]
            left = max((each for each in facts if isinstance(each, int)), default=0)
            expect(left >= behaviour.left, f"{left} processes are said to be left behind, not {behaviour.left}")


for _each in BEHAVIOURS:
    _register(_each)


def alone(setting: Setting, code: str, limits: Limits) -> ChildReport:
    """Run Python code as a child of this process's own, with limits that a matrix cannot set."""
    folder = setting.ground.new_folder("child")
    folder.mkdir()
    return Children().run([sys.executable, "-c", code], environment={}, folder=folder, limits=limits)


@fault("processes", "eats-memory", "the child takes 100 MB every 0.1 s, past its ceiling of 300 MB")
def eats_memory(setting: Setting, tally: Tally) -> None:
    """The ceiling is looked at four times a second."""
    code = "import time\nkept = []\nwhile True:\n    kept.append(b'x' * 100_000_000)\n    time.sleep(0.1)"
    with tally.injection("eats memory"):
        report = alone(setting, code, Limits(wall=60, idle=30, memory=300 * MIB))
        expect(report.end == "memory", f"it ended by {report.end}")
        expect(report.peak_memory_mib < 2000, f"it had {report.peak_memory_mib:.0f} MiB before it was ended")
    tally.orphans += orphans()


@fault("processes", "prints-5-gb", "the child prints 5 GB")
def prints_gigabytes(setting: Setting, tally: Tally) -> None:
    """What is kept is bounded, in memory and in the report."""
    size = setting.times(5_000_000_000, 500_000_000)
    code = f"import os\nblock = (b'x' * 99 + b'\\n') * 10000\nfor _ in range({size // 1_000_000}): os.write(1, block)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with tally.injection("prints"):
        report = alone(setting, code, Limits(wall=300, idle=60))
        expect(report.end == "exited" and report.exit_code == 0, f"it ended by {report.end} with {report.exit_code}")
        expect(len(report.log) < 3 * MIB, f"{len(report.log)} characters of it were kept")
        expect("left out" in report.log, "nothing says that output was left out")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        expect(grown < 100, f"the harness grew by {grown} MiB")
        rate = size / 1e9 / (time.monotonic() - started)
        tally.figures.append(f"{size / 1e9:g} GB at {rate:.1f} GB/s; {len(report.log) / 1e6:.1f} MB kept")
    tally.orphans += orphans()

"""What a package looks for from inside its sandbox: other processes, files, sockets, memory and disk without end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.untrusted_files import temporary_folder
from harness.process.child import Children, ChildReport, Limits
from harness.process.sandbox import ENTERED
from tests.chaos.ground import orphans
from tests.chaos.processes import MIB, run_one
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from harness.core.records import Record
    from tests.chaos.registry import Setting, Tally

CREDENTIALS = (
    ".netrc",
    ".pgpass",
    ".git-credentials",
    ".aws/credentials",
    ".docker/config.json",
    ".config/gcloud/credentials.db",
    ".kube/config",
    ".ssh/id_ed25519",
)
_NOT_OUTSIDE = """
import os
if len([each for each in os.listdir("/proc") if each.isdigit()]) > 9 or os.getpid() > 9:
    raise SystemExit("this is no sandbox")
"""
PLANTED = "planted in the home"


def raised(record: Record) -> list[str]:
    """What the probes of a run raised."""
    return [check.exception.message for each in record.stages for check in each.checks if check.exception]


def _alone(setting: Setting, code: str, limits: Limits) -> ChildReport:
    """Run code as a child that is shut in, with limits that a matrix cannot set; what it wrote is removed."""
    children = Children()
    children._sandbox = ENTERED  # what runs here would end everything of the user's outside
    with temporary_folder("child-", setting.ground.folder) as folder:
        return children.run(
            [sys.executable, "-I", "-c", code], environment={}, folder=folder, limits=limits, writable=[folder]
        )


def report_of(setting: Setting, tally: Tally, code: str) -> str:
    """What code in a package finds out; it leaves it in ``found``."""
    record = run_one(setting.ground, tally, f"found = []\n{code}\nraise RuntimeError('found ' + repr(found))")
    said = raised(record)
    expect(said and said[0].startswith("found "), f"it said {said}, and the verdict is {record.verdict}")
    return said[0].removeprefix("found ")


@fault(
    "untrusted", "other-processes", "a package looks for other processes, signals all that it can, stops its parents"
)
def other_processes(setting: Setting, tally: Tally) -> None:
    """It sees its own alone, reaches nobody, and is not waited for."""
    victim = subprocess.Popen(["sleep", "600"])
    try:
        for name, code in {
            "every number": "for pid in range(1, 70000):\n    try: os.kill(pid, {signal})\n    except OSError: pass",
            "all at once": "try: os.kill(-1, {signal})\nexcept OSError: pass",
            "its group": "signal.signal({signal}, signal.SIG_IGN) if {signal} == 15 else None\nos.killpg(0, {signal})",
            "by name": f"try: os.kill({victim.pid}, 9)\nexcept OSError: pass",
        }.items():
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP) if "{signal}" in code else (0,):
                with tally.injection(f"{name} {number}"):
                    told = f"{_NOT_OUTSIDE}\nimport os, signal\n{code.format(signal=int(number))}"
                    report = _alone(setting, told, Limits(wall=30, idle=6))
                    alive = victim.poll() is None and Path(f"/proc/{victim.pid}/stat").read_text().split()[2] == "S"
                    tally.escaped += not alive
                    expect(alive, "it reached another process")
                    expect("this is no sandbox" not in report.log, f"it was not shut in: {report.sandbox}")
                    expect(report.end in {"exited", "idle"}, f"it ended by {report.end}")  # it can stop itself
    finally:
        victim.kill()
        victim.wait()
    with tally.injection("a list of them"):
        code = "import os\nfound = [each for each in os.listdir('/proc') if each.isdigit() and int(each) > 40]"
        expect(report_of(setting, tally, code) == "[]", "it sees other processes")
    with tally.injection("its parents' memory"):
        code = """
import os
for name in ("mem", "environ", "fd/0", "root", "cwd"):
    for pid in {1, os.getppid()} - {os.getpid()}:
        try:
            if name in ("mem", "environ"):
                open(f"/proc/{pid}/{name}", "rb").read(1)
            else:
                os.stat(f"/proc/{pid}/{name}")
            found.append((pid, name))
        except OSError:
            pass
"""
        told = report_of(setting, tally, code)
        expect("(1," not in told, f"it looked into the process that watches it: {told}")
    tally.orphans += orphans()


@fault(
    "untrusted", "reads", "a package reads credentials in the home, /etc, /run and /dev, and connects to socket files"
)
def reads(setting: Setting, tally: Tally) -> None:
    """None of it is there."""
    ground = setting.ground
    home = ground.new_folder("home")
    for each in CREDENTIALS:
        (home / each).parent.mkdir(parents=True, exist_ok=True)
        (home / each).write_text(PLANTED)
    os.mkfifo(home / "pipe")
    address = str(home / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        server.setblocking(False)
        ground.extra["HOME"] = str(home)
        try:
            for name, code in {
                "credentials": f"names = [{str(home)!r} + '/' + each for each in {CREDENTIALS!r}]",
                "the user's own": f"names = [{str(Path.home())!r} + '/' + each for each in {CREDENTIALS!r}]",
                "settings of the machine": "names = ['/etc/shadow', '/etc/sudoers', '/etc/fstab', '/etc/crontab']",
                "this project": "names = [os.path.join(os.environ['VIRTUAL_ENV'], '../../../matrix.yaml')]",
                "other environments": "names = [each for each in [os.path.join(os.environ['VIRTUAL_ENV'], '..')]"
                " if len(os.listdir(each)) > 1]",
                "run": "names = ['/run', '/var/run', '/var/lib', '/home', '/mnt', '/srv', '/boot', '/var/log']",
                "devices": "names = ['/dev/' + each for each in ('tty', 'mem', 'kmsg', 'fuse', 'kvm', 'sda', 'ptmx')]",
                "pipe": f"names = [{str(home / 'pipe')!r}]",
            }.items():
                with tally.injection(name):
                    look = f"import os\n{code}\nfound = [each for each in names if os.path.lexists(each)]"
                    told = report_of(setting, tally, look)
                    tally.leaked += told != "[]"
                    expect(told == "[]", f"it sees {told}")
            with tally.injection("a socket"):
                code = f"import socket\ntry:\n    socket.socket(socket.AF_UNIX).connect({address!r})\n"
                code += "    found.append('connected')\nexcept OSError:\n    pass"
                told = report_of(setting, tally, code)
                try:
                    server.accept()[0].close()
                    tally.escaped += 1
                except BlockingIOError:
                    pass
                expect(told == "[]", f"it {told}")
            with tally.injection("a terminal"):
                code = "import os\ntry: found.append(os.open('/dev/tty', os.O_RDWR))\nexcept OSError: pass"
                expect(report_of(setting, tally, code) == "[]", "it has a terminal")
        finally:
            del ground.extra["HOME"]


@fault(
    "untrusted", "system-calls", "a package makes namespaces, mounts, rings and keys, which a kernel is attacked with"
)
def system_calls(setting: Setting, tally: Tally) -> None:
    """The kernel refuses, or does not know them."""
    calls = {
        "unshare": "libc.unshare(0x10000000)",
        "clone": "libc.syscall(56 if os.uname().machine == 'x86_64' else 220, 0x10000011, 0, 0, 0, 0)",
        "mount": "libc.mount(b'none', b'/dev/shm', b'tmpfs', 0, None)",
        "io_uring": "libc.syscall(425, 8, ctypes.create_string_buffer(256))",
        "keys": "libc.syscall(248 if os.uname().machine == 'x86_64' else 217, b'user', b'x', b'y', 1, -3)",
        "new mounts": "libc.syscall(428, -100, b'/', 0x8001)",
        "another way to call": "libc.syscall(0x40000000 + 39)" if os.uname().machine == "x86_64" else "-1",
    }
    for name, call in calls.items():
        with tally.injection(name):
            code = f"import ctypes, os\nlibc = ctypes.CDLL(None)\nif {call} >= 0: found.append('done')"
            told = report_of(setting, tally, code)
            tally.escaped += told != "[]"
            expect(told == "[]", "the kernel did it")


@fault("untrusted", "hidden-memory", "a package takes memory where no process has it: memfd, /dev/shm, System V")
def hidden_memory(setting: Setting, tally: Tally) -> None:
    """It counts, or is bounded."""
    takes = {
        "memfd": "kept = os.memfd_create('x')",
        "a file in memory": "kept = os.open('/dev/shm/x', os.O_CREAT | os.O_RDWR)",
        "one without a name": "kept = os.open('/dev/shm/x', os.O_CREAT | os.O_RDWR); os.unlink('/dev/shm/x')",
    }
    for name, begin in takes.items():
        with tally.injection(name):
            code = f"import os, time\n{begin}\nfor _ in range(400):\n    os.write(kept, b'x' * {MIB})\ntime.sleep(600)"
            report = _alone(setting, code, Limits(wall=60, idle=60, memory=300 * MIB))
            expect(report.end == "memory", f"it ended by {report.end}: {report.log[-300:]}")
    with tally.injection("System V"):
        code = f"import ctypes\nif ctypes.CDLL(None).shmget(0, {64 * MIB}, 0o1600) >= 0: found.append('made')"
        expect(report_of(setting, tally, code) == "[]", "it has memory that nobody counts")


@fault("untrusted", "fills-the-disk", "a package writes more than its scratch may hold, under a name and without one")
def fills_the_disk(setting: Setting, tally: Tally) -> None:
    """It is ended, and what it wrote is gone."""
    for name, begin in {
        "a file": "file = open('x', 'wb')",
        "many": "file = None",
        "no name": "file = open('x', 'wb'); os.unlink('x')",
    }.items():
        with tally.injection(name):
            code = f"import os, time\n{begin}\nfor number in range(400):\n"
            if name == "many":
                code += "    file = open(str(number), 'wb')\n"
            code += f"    os.posix_fallocate(file.fileno(), {0 if name == 'many' else f'number * {MIB}'}, {MIB})\n"
            report = _alone(setting, f"{code}time.sleep(600)", Limits(wall=60, idle=60, scratch=300 * MIB))
            expect(report.end == "scratch", f"it ended by {report.end}: {report.log[-300:]}")

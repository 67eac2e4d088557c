"""The ground the faults are brought about on: miniatures, a harness to start and stop, and what it left behind."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psutil

from harness.cli.main import main as command_line
from harness.core.untrusted_files import remove_tree
from harness.process import redaction
from harness.results.store import RECORD_FILE, ResultStore
from tests import ROOT
from tests.miniatures import BEHAVIOURS, GOOD_BUILDER, lmdeploy_files, make_index, make_project, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import click

    from harness.core.records import Record
    from tests.miniatures import MiniProject

PR_SET_CHILD_SUBREAPER = 36
SETTLES = 4.0
"""Seconds within which whatever the harness started has to be gone; its supervisors give half a second's grace."""
HIDDEN = ("UV_", "PIP_", "HARNESS_", "HTTP_", "HTTPS_", "ALL_PROXY", "http_", "https_", "all_proxy")
REQUIRES = ("torch", "pillow", "transformers")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a harness ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def traceback(self) -> bool:
        """Whether it showed its insides."""
        return "Traceback (most recent call last)" in self.out + self.err


@dataclass(slots=True)
class Running:
    """A harness that was started."""

    pid: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def poll(self) -> bool:
        """Whether it has ended; it is not reaped, so its number stays its own."""
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def wait(self, seconds: float = 120.0) -> Ended:
        """Its end; a harness that does not come to one is killed, and that is its end."""
        deadline = time.monotonic() + seconds
        while not self.poll() and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self.poll():
            self.signal(signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if self.process is not None:
            self.process.returncode = os.waitstatus_to_exitcode(status)
        texts = [(self.folder / name).read_text(errors="replace") for name in ("out", "err")]
        return Ended(os.waitstatus_to_exitcode(status), *texts)


@dataclass
class Ground:
    """One folder for everything, and the miniatures in it."""

    folder: Path
    _number: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # whatever the harness leaves without a parent becomes a child of this process, and can be counted
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    @cached_property
    def index(self) -> Path:
        """The folder index of all miniatures."""
        folder = self.folder / "index"
        make_index(folder)
        return folder

    @cached_property
    def environment(self) -> dict[str, str]:
        """Variables under which uv knows the miniatures and nothing else."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
        return kept | {
            "UV_CONFIG_FILE": str(self.index / "uv.toml"),
            "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            "UV_OFFLINE": "1",
            "NO_COLOR": "1",
            "NO_PROXY": "*",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self._folder("tmp")),
        }

    def lmdeploy(self, version: str, builder: str) -> str:
        """Put a miniature lmdeploy with that vision builder into the index; its version again."""
        if version in BEHAVIOURS:
            raise ValueError(f"lmdeploy {version} is taken")
        make_wheel(self.index / "wheels", "lmdeploy", version, lmdeploy_files(builder), REQUIRES)
        return version

    def good_lmdeploys(self, count: int) -> list[str]:
        """Versions of lmdeploy that pass every stage that needs no GPU."""
        versions = [f"7.{number}" for number in range(count)]
        for each in versions:
            if not (self.index / "wheels" / f"lmdeploy-{each}-py3-none-any.whl").exists():
                self.lmdeploy(each, GOOD_BUILDER)
        return versions

    def project(self, matrix: str) -> MiniProject:
        """A new project of miniatures."""
        return make_project(self.new_folder("project"), matrix)

    def new_folder(self, name: str) -> Path:
        """A path of this name that nobody has used yet."""
        self._number += 1
        return self.folder / f"{name}-{self._number}"

    def _folder(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(
        self,
        project: MiniProject,
        *arguments: str,
        before: Callable[[], None] | None = None,
        program: click.Command = command_line,
    ) -> Running:
        """Start ``harness ARGUMENTS`` in a fork of this process, which has everything loaded already."""
        folder = self.new_folder("printed")
        folder.mkdir()
        environment = self.environment | self.extra
        pid = os.fork()
        if pid:
            return Running(pid, folder)
        code = 70
        try:
            code = _become_harness(project.root, folder, environment, arguments, before, program)
        finally:
            os._exit(code)

    def start_anew(self, project: MiniProject, *arguments: str, **environment: str) -> Running:
        """The same as a program of its own, with the time that loading takes."""
        folder = self.new_folder("printed")
        folder.mkdir()
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness", *arguments],
                cwd=project.root,
                env=self.environment | self.extra | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return Running(process.pid, folder, process)

    def harness(
        self,
        project: MiniProject,
        *arguments: str,
        before: Callable[[], None] | None = None,
        program: click.Command = command_line,
    ) -> Ended:
        """Run ``harness ARGUMENTS`` to its end."""
        return self.start(project, *arguments, before=before, program=program).wait()

    def records(self, project: MiniProject) -> list[Record]:
        """What is on record."""
        return ResultStore(project.root / "reports").records()

    def clear(self, project: MiniProject) -> None:
        """Delete a project that is done with."""
        remove_tree(project.root)


def _become_harness(  # noqa: PLR0913, PLR0917 - what makes a fork a harness
    root: Path,
    folder: Path,
    environment: Mapping[str, str],
    arguments: Sequence[str],
    before: Callable[[], None] | None,
    program: click.Command,
) -> int:
    """What a fork does to be a harness; its exit code."""
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    redaction._known_values.cache_clear()  # of this process's environment, which the harness does not have
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, number)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
    try:
        if before is not None:
            before()
        program(list(arguments), prog_name="harness")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:  # noqa: BLE001 - the interpreter would show it; so does this
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        atexit._run_exitfuncs()  # a fork ends with _exit, and what a real harness does at its end belongs to it
    return 0


def descendants() -> list[psutil.Process]:
    """Living processes below this one."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def orphans(seconds: float = SETTLES) -> int:
    """How many processes are left after a moment's grace; they are ended."""
    deadline = time.monotonic() + seconds
    while (left := descendants()) and time.monotonic() < deadline:
        time.sleep(0.02)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    reap()
    return len(left)


def reap() -> None:
    """Collect adopted processes that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def half_environments(project: MiniProject) -> int:
    """Environments that carry a finish marker and lack a file of what is installed in them."""
    half = 0
    for marker in (project.root / ".harness" / "environments").glob("*/harness-finished.json"):
        for record in marker.parent.glob("lib/*/site-packages/*.dist-info/RECORD"):
            names = [line.split(",")[0] for line in record.read_text().splitlines() if line]
            if not all((record.parent.parent / name).exists() for name in names):
                half += 1
                break
    return half


def scratch_left(project: MiniProject) -> int:
    """Entries in folders that are only used while something runs."""
    state = project.root / ".harness"
    folders = [state / "scratch", state / "resolutions" / "asking"]
    return sum(len(list(each.iterdir())) for each in folders if each.is_dir())


def lines(project: MiniProject) -> list[bytes]:
    """The record file's whole lines."""
    file = project.root / "reports" / RECORD_FILE
    content = file.read_bytes() if file.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


def attempts(project: MiniProject) -> list[tuple[str, int]]:
    """Id and attempt of every whole record line, in their order."""
    found: list[tuple[str, int]] = []
    for line in lines(project):
        with contextlib.suppress(ValueError):
            content: dict[str, Any] = json.loads(line)
            found.append((str(content["id"]), int(content["attempt"])))
    return found

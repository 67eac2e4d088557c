"""The disk: full at every write, read-only, torn, damaged, shared, and under a clock that goes backwards."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.results.store import RECORD_FILE
from tests.chaos.ground import attempts, half_environments, lines, orphans, scratch_left
from tests.chaos.kills import MATRIX
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.ground import Ended, Ground
    from tests.chaos.registry import Setting, Tally
    from tests.miniatures import MiniProject

COMBINATIONS = 2
WRITES = os.O_WRONLY | os.O_RDWR


def project_of(ground: Ground) -> MiniProject:
    """Two combinations of two stacks that pass."""
    versions = ", ".join(f'"{each}"' for each in ground.good_lmdeploys(COMBINATIONS))
    return ground.project(MATRIX.format(versions=versions, backend="transformers"))


def completes(setting: Setting, tally: Tally, project: MiniProject, ended: Ended, before: list[bytes]) -> None:
    """What was on record is still there, and the next run, undisturbed, completes."""
    tally.tracebacks += ended.traceback
    kept = lines(project)[: len(before)] == before
    tally.lost += not kept
    expect(kept, "what was on record is not there any more")
    expect(not ended.traceback, f"it showed a traceback: {ended.err[-400:]}")
    following = setting.ground.harness(project, "run")
    tally.tracebacks += following.traceback
    tally.orphans += orphans() + scratch_left(project) + half_environments(project)
    expect(following.code == 0, f"the next run ended with {following.code}: {following.err[-400:]}")
    found = attempts(project)
    tally.lost += len(found) - len(set(found))
    expect({each.verdict for each in setting.ground.records(project)} == {"pass"}, "not all pass afterwards")
    expect(len(setting.ground.records(project)) == COMBINATIONS, "not all combinations are on record afterwards")


class FullDisk:
    """Stands before every call that writes, and lets those below ``root`` fail from the ``number``-th on.

    With ``counted``, nothing fails: a byte is added to that file for each write instead.
    """

    def __init__(self, root: Path, number: int, counted: Path | None = None) -> None:
        self.root, self.number, self.counted = str(root), number, counted
        self.seen = 0
        self.real_open, self.real_os_open, self.real_write = io.open, os.open, os.write

    def __call__(self) -> None:
        """Take the calls' places; only in the fork that is to be the harness."""
        places: list[tuple[Any, str, Any]] = [(builtins, "open", self.open), (io, "open", self.open)]
        places += [(os, "open", self.os_open), (os, "write", self.os_write)]
        for module, name, new in places:
            setattr(module, name, new)

    def open(self, file: Any, mode: str = "r", *args: Any, **keywords: Any) -> Any:
        """The built-in."""
        if set(mode) & set("wax+"):
            self._look(_path_of(file) if isinstance(file, int) else str(file))
        return self.real_open(file, mode, *args, **keywords)

    def os_open(self, path: Any, flags: int, *args: Any, **keywords: Any) -> int:
        """The one of os."""
        if flags & WRITES:
            self._look(str(path))
        return self.real_os_open(path, flags, *args, **keywords)

    def os_write(self, descriptor: int, data: bytes) -> int:
        """The one of os."""
        self._look(_path_of(descriptor))
        return self.real_write(descriptor, data)

    def _look(self, path: str) -> None:
        if not path.startswith(self.root):
            return
        self.seen += 1
        if self.counted is not None:
            descriptor = self.real_os_open(self.counted, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self.real_write(descriptor, b".")
            os.close(descriptor)
        elif self.seen >= self.number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@fault("disk", "full", "the disk is full from the n-th write of the harness on, for every n")
def full(setting: Setting, tally: Tally) -> None:
    """One clear line, and the next run goes on."""
    ground = setting.ground
    project = project_of(ground)
    counter = ground.new_folder("writes")
    ground.harness(project, "run", "-j", "1", before=FullDisk(project.root, 0, counter))
    sites = counter.stat().st_size
    expect(sites > COMBINATIONS, "no write was counted")
    numbers = range(1, sites + 1) if not setting.quick else sorted(setting.random.sample(range(1, sites + 1), 8))
    for number in numbers:
        for each in ("reports", ".harness"):
            shutil.rmtree(project.root / each, ignore_errors=True)
        with tally.injection(f"write {number}"):
            ended = ground.harness(project, "run", "-j", "1", before=FullDisk(project.root, number))
            expect(ended.code in {0, 1, 4}, f"it ended with {ended.code}: {ended.err[-300:]}")
            expect(ended.code != 4 or "No space" in ended.err + ended.out, f"it does not say why: {ended.err[-300:]}")
            completes(setting, tally, project, ended, lines(project))
    tally.figures.append(f"{sites} writes of a run of {COMBINATIONS} combinations")
    ground.clear(project)


@fault("disk", "read-only", "the reports folder, or the working folder, cannot be written")
def read_only(setting: Setting, tally: Tally) -> None:
    """A place in which not even root can write stands in for it."""
    ground = setting.ground
    for name in ("reports", ".harness"):
        project = project_of(ground)
        ground.harness(project, "run", "-k", "7.0")
        closed = project.root / name
        with tally.injection(name):
            before = lines(project)
            real = closed.with_name(f"{name}-real")
            closed.rename(real)
            closed.symlink_to("/proc")  # a place in which nobody can write
            ended = ground.harness(project, "run", "--fresh")
            closed.unlink()
            real.rename(closed)
            expect(ended.code == 4, f"it ended with {ended.code}: {ended.err[-300:]}")
            completes(setting, tally, project, ended, before)
        ground.clear(project)


@fault("disk", "torn", "the record file ends in a torn line, cut at random")
def torn(setting: Setting, tally: Tally) -> None:
    """The line is lost, and nothing else."""
    project = project_of(setting.ground)
    setting.ground.harness(project, "run")
    file = project.root / "reports" / RECORD_FILE
    for number in range(setting.times(15, 4)):
        with tally.injection(f"cut {number}"):
            content = file.read_bytes()
            last = content.rstrip(b"\n").rfind(b"\n") + 1
            file.write_bytes(content[: setting.random.randint(last, len(content) - 2)])
            before = lines(project)
            ended = setting.ground.harness(project, "run")
            completes(setting, tally, project, ended, before)
    setting.ground.clear(project)


@fault("disk", "damaged", "files of the working folder and kept locks are emptied, overwritten, cut or made folders")
def damaged(setting: Setting, tally: Tally) -> None:
    """Answers, resolutions, finish markers, locks, the report: all can be made again."""
    project = project_of(setting.ground)
    setting.ground.harness(project, "run")
    before = lines(project)
    for number in range(setting.times(30, 6)):
        state = project.root / ".harness"
        kept = [*state.glob("answers/*/*.json"), *state.glob("resolutions/*.json")]
        kept += [*state.glob("environments/*/harness-finished.json"), *project.root.glob("reports/locks/*/pylock.toml")]
        victim = setting.random.choice(sorted(each for each in kept if each.is_file()))
        with tally.injection(f"{number} {victim.name}"):
            _damage(setting, victim)
            for folder in state.glob("answers") if setting.random.random() < 0.5 else ():
                shutil.rmtree(folder)
            ended = setting.ground.harness(project, "run", *(["--fresh"] if number % 2 else []))
            if victim.is_dir():
                shutil.rmtree(victim)
            completes(setting, tally, project, ended, before)
            if victim.name == "pylock.toml":
                named = {each.lock for each in setting.ground.records(project)}
                expect(victim.parent.name in named and victim.stat().st_size > 0, "the kept lock was not repaired")
    setting.ground.clear(project)


def _damage(setting: Setting, victim: Path) -> None:
    content = victim.read_bytes()
    kind = setting.random.randrange(4)
    if kind == 0:
        victim.write_bytes(b"")
    elif kind == 1:
        victim.write_bytes(content[: setting.random.randrange(len(content))])
    elif kind == 2:
        place = setting.random.randrange(len(content))
        victim.write_bytes(content[:place] + bytes([setting.random.randrange(256)]) + content[place + 1 :])
    else:
        victim.write_bytes(bytes(setting.random.randrange(256) for _ in range(64)))


@fault("disk", "clock", "the clock goes back a day: everything on the disk is from the future")
def clock(setting: Setting, tally: Tally) -> None:
    """What is from the future is not trusted to be fresh, and the report is up to date."""
    project = project_of(setting.ground)
    setting.ground.harness(project, "run")
    tomorrow = time.time() + 86_400
    for arguments in (["run"], ["run", "--fresh"], ["run", "--refresh"], ["report"]):
        with tally.injection(" ".join(arguments)):
            for each in project.root.rglob("*"):
                if not each.is_symlink() and each.is_file() and "environments" not in each.parts:
                    os.utime(each, (tomorrow, tomorrow))
            before = lines(project)
            ended = setting.ground.harness(project, *arguments)
            completes(setting, tally, project, ended, before)
            page = project.root / "reports" / "index.html"
            expect(page.stat().st_mtime < tomorrow - 1, "the report was not written anew")
    setting.ground.clear(project)


@fault(
    "disk", "lost-files", "files of a finished environment, and of uv's cache with it, are gone, empty, cut or zeros"
)
def lost_files(setting: Setting, tally: Tally) -> None:
    """No version is blamed: the environment is built anew, in the same run."""
    ground = setting.ground
    project = project_of(ground)
    ground.harness(project, "run")
    before = lines(project)
    spoil: dict[str, Callable[[Path], object]] = {
        "gone": Path.unlink,
        "empty": lambda file: os.truncate(file, 0),
        "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
        "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    }
    sites = "environments/*/lib/python*/site-packages"
    wanted = ("transformers/__init__.py", "PIL/Image.py", "torch/__init__.py")
    for name, how in spoil.items():
        for victim in wanted if not setting.quick else setting.random.sample(wanted, 1):
            with tally.injection(f"{name}: {victim}"):
                found = list((project.root / ".harness").glob(f"{sites}/{victim}"))
                for each in {file.stat().st_ino: file for file in found}.values() if name != "gone" else found:
                    how(each)
                ended = ground.harness(project, "run", "--fresh")
                expect(ended.code == 0, f"it ended with {ended.code}: {(ended.out + ended.err)[-300:]}")
                completes(setting, tally, project, ended, before)
    ground.clear(project)

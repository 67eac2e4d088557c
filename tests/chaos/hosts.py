"""Hosts that are not as one would like them: without user namespaces, and with a disk that is small indeed."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from harness.environments import environment
from harness.process.child import CHILDREN
from harness.process.probing import SWITCH
from harness.process.sandbox import ENTERED
from tests.chaos.disk import completes, project_of
from tests.chaos.ground import lines, orphans
from tests.chaos.kills import MATRIX as KILLS_MATRIX
from tests.chaos.processes import run_one
from tests.chaos.registry import expect, fault
from tests.chaos.untrusted import facts
from tests.miniatures import MODEL

if TYPE_CHECKING:
    from tests.chaos.registry import Setting, Tally

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REMOUNT = 32
PLENTY = 512 * 2**20


def own_namespaces(flags: int) -> None:
    """Put this process, which has one thread, into a user namespace of its own and what else is asked for.

    Raises:
        OSError: the host does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)


def _forbid_namespaces() -> None:
    own_namespaces(0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def _lose_namespaces() -> None:
    """As if a child of this run had been shut in before."""
    CHILDREN._sandbox = ENTERED
    _forbid_namespaces()


@fault("untrusted", "no-namespaces", "the host gives no user namespaces; the sandbox is switched off by hand")
def no_namespaces(setting: Setting, tally: Tally) -> None:
    """The probe runs, its verdict is the same, and its record says that nothing but its limits held it."""
    code = "raise RuntimeError('tried')"
    verdicts = {run_one(setting.ground, tally, code).verdict}
    with tally.injection("no namespaces"):
        record = run_one(setting.ground, tally, code, before=_forbid_namespaces)
        verdicts.add(record.verdict)
        said = facts(record, "sandbox")
        expect(said and all("no user namespaces" in str(each) for each in said), f"the sandbox is said to be {said}")
    with tally.injection("gone in the middle of a run"):
        record = run_one(setting.ground, tally, code, before=_lose_namespaces)
        expect(record.verdict.startswith("infra/import/"), f"the verdict is {record.verdict}")
        expect("could not be started" in record.verdict, f"the verdict is {record.verdict}")
    with tally.injection("switched off"):
        setting.ground.extra[SWITCH] = "off"
        try:
            record = run_one(setting.ground, tally, code)
        finally:
            del setting.ground.extra[SWITCH]
        verdicts.add(record.verdict)
        said = facts(record, "sandbox")
        expect(said and all("switched off" in str(each) for each in said), f"the sandbox is said to be {said}")
        expect(len(verdicts) == 1, f"the verdicts differ: {verdicts}")


@fault("untrusted", "remote-code", "a checkpoint brings Python files, and a package runs them whatever it is told")
def remote_code(setting: Setting, tally: Tally) -> None:
    """Off unless the model's spec says so, and the report shows which."""
    code = """
import os
home = os.path.join(os.environ["HF_HOME"], "modules", "transformers_modules", "mini")
os.makedirs(home)
with open(os.path.join(home, "modeling.py"), "w") as file:
    file.write("raise RuntimeError('the code of the checkpoint ran')")
import importlib.util
spec = importlib.util.spec_from_file_location("modeling", os.path.join(home, "modeling.py"))
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
    ground = setting.ground
    version = ground.lmdeploy("4.200", code)
    for trusted, said, shown in (
        (False, "does not set trust_remote_code", b'"trust_remote_code":false'),
        (True, "the code of the checkpoint ran", b'"trust_remote_code":true'),
    ):
        project = ground.project(KILLS_MATRIX.format(versions=f'"{version}"', backend="pytorch"))
        if trusted:
            spec = MODEL.replace("licence:", "trust_remote_code: true\nlicence:")
            (project.root / "models" / "mini.yaml").write_text(spec)
        with tally.injection(f"trusted: {trusted}"):
            ended = ground.harness(project, "run")
            tally.tracebacks += ended.traceback
            record = ground.records(project)[0]
            told = [check.exception.message for each in record.stages for check in each.checks if check.exception]
            tally.escaped += not trusted and any("ran" in each for each in told)
            expect(told and said in told[0], f"it says {told}, verdict {record.verdict}")
            page = (project.root / "reports" / "index.html").read_bytes().replace(b" ", b"")
            expect(shown in page, f"the report does not hold {shown!r}")
        ground.clear(project)
    tally.orphans += orphans()


@fault("disk", "small", "the project stands on a file system that fills up at a random moment, under uv and probes too")
def small(setting: Setting, tally: Tally) -> None:
    """No version is blamed for it, and with more space the next run completes."""
    own_namespaces(CLONE_NEWNS)
    environment.LEAST_FREE = 0  # in these forks alone: it would not even begin on so small a disk
    project = project_of(setting.ground)
    backup = setting.ground.new_folder("backup")
    shutil.copytree(project.root, backup)
    _mount(project.root, PLENTY)
    shutil.copytree(backup, project.root, dirs_exist_ok=True)
    whole = setting.ground.harness(project, "run")
    expect(whole.code == 0, f"not even an undisturbed run ends as it should: {whole.code} {whole.err[-300:]}")
    used = shutil.disk_usage(project.root).used
    for number in range(setting.times(10, 2)):
        for each in ("reports", ".harness"):
            shutil.rmtree(project.root / each, ignore_errors=True)
        size = int(used * (0.05 + 0.95 * setting.random.random()))
        with tally.injection(f"{number}: {size} of {used} bytes"):
            _mount(project.root, max(size, shutil.disk_usage(project.root).used + 4096), again=True)
            ended = setting.ground.harness(project, "run")
            verdicts = {each.verdict for each in setting.ground.records(project)}
            _mount(project.root, PLENTY, again=True)
            expect(ended.code in {0, 4}, f"it ended with {ended.code}, {verdicts}: {ended.err[-300:]}")
            blamed = [each for each in verdicts if not each.startswith(("pass", "infra/"))]
            expect(not blamed, f"a version is blamed: {blamed}")
            completes(setting, tally, project, ended, lines(project))
    tally.figures.append(f"an undisturbed run takes {used / 1e6:.1f} MB")


def _mount(folder: Path, size: int, *, again: bool = False) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(MS_REMOUNT if again else 0)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, f"size={size}".encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}")

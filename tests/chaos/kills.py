"""What is done to the harness itself: signals at random moments, and what the next run makes of what they left."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from tests.chaos.ground import attempts, half_environments, lines, orphans, reap, scratch_left
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from tests.chaos.ground import Ended, Ground
    from tests.chaos.registry import Setting, Tally
    from tests.miniatures import MiniProject

MATRIX = """\
version: 1
axes:
  python: "3.11"
  lmdeploy: [{versions}]
  transformers: ["4.57.3"]
  backend: [{backend}]
  model: [mini]
"""
STACKS = 2
TRUE_VERDICT = "fail/import/entrypoint-moved-or-misused(lmdeploy.cli.entrypoint)"
_FINISHED = re.compile(r"^\[\d+/\d+\] (\S+) ", re.MULTILINE)
_ROUNDS = 2
"""Undisturbed runs that tell how long one takes here and now, so that a signal can hit every part of it."""


def _project(ground: Ground) -> MiniProject:
    versions = ", ".join(f'"{each}"' for each in ground.good_lmdeploys(STACKS))
    return ground.project(MATRIX.format(versions=versions, backend="transformers"))


def _unsettle(setting: Setting, project: MiniProject) -> list[str]:
    """Make sure that the next run has something to do; what it is told beside."""
    state = project.root / ".harness"
    chance = setting.random.random()
    if chance < 0.4:
        shutil.rmtree(state / "environments", ignore_errors=True)
    if chance > 0.3:
        shutil.rmtree(state / "answers", ignore_errors=True)
    if setting.random.random() < 0.3:
        shutil.rmtree(state / "resolutions", ignore_errors=True)
    return ["--fresh"]


def _whole_run(setting: Setting, project: MiniProject) -> float:
    """Seconds that a run takes which has everything to do."""
    took = []
    for _ in range(_ROUNDS):
        shutil.rmtree(project.root / ".harness", ignore_errors=True)
        started = time.monotonic()
        ended = setting.ground.harness(project, "run", "--fresh")
        took.append(time.monotonic() - started)
        expect(ended.code == 0, f"not even an undisturbed run ends as it should: {ended.err[-300:]}")
    return max(took)


def _hit(  # noqa: PLR0913 - what a hit is made of
    setting: Setting, tally: Tally, project: MiniProject, number: int, *, whole: float, anew: bool
) -> None:
    """Start a run, send it the signal at a random moment, look at what is left, and let the next run complete."""
    ground = setting.ground
    before = lines(project)
    options = _unsettle(setting, project)
    running = (ground.start_anew if anew else ground.start)(project, "run", *options)
    moment = setting.random.random() * (whole + (0.6 if anew else 0.0))
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and not running.poll():
        time.sleep(0.002)
    running.signal(number)
    ended = running.wait(30)
    tally.tracebacks += ended.traceback
    tally.orphans += orphans()
    half = half_environments(project)
    tally.orphans += half
    after = lines(project)
    gone = sum(1 for old, new in zip(before, after, strict=False) if old != new) + max(0, len(before) - len(after))
    told = Counter(_FINISHED.findall(ended.err))
    on_record = Counter(identity for identity, _ in attempts(project)[len(before) :])
    unrecorded = sum((told - on_record).values())
    tally.lost += gone + unrecorded
    expect(number == signal.SIGKILL or not scratch_left(project), f"after {moment:.2f} s scratch was left behind")
    expect(_ended_well(ended, number), f"after {moment:.2f} s it ended with {ended.code}: {ended.err[-300:]}")
    expect(half == 0, f"after {moment:.2f} s an environment passes for whole and is not")
    following = ground.harness(project, "run")
    tally.tracebacks += following.traceback
    tally.orphans += orphans() + scratch_left(project)
    expect(following.code == 0, f"the next run ended with {following.code}: {following.err[-300:]}")
    known = {each.id: each.verdict for each in ground.records(project)}
    expect(len(known) == STACKS, f"the next run left {len(known)} of {STACKS} combinations on record")
    double = sum(count - 1 for count in Counter(attempts(project)).values())
    tally.lost += double
    expect(double == 0, f"{double} attempts are on record twice")
    reap()


def _ended_well(ended: Ended, number: int) -> bool:
    """Done already, interrupted with a word, or dead before it had begun."""
    if ended.code in {0, -number}:
        return True
    return ended.code == 130 and "interrupted" in ended.err


def _register(number: signal.Signals, full: int, quick: int) -> None:
    @fault("kills", number.name.lower(), f"the harness gets {number.name} at a random moment of a run")
    def scenario(setting: Setting, tally: Tally) -> None:
        project = _project(setting.ground)
        whole = _whole_run(setting, project)
        for time_number in range(setting.times(full, quick)):
            with tally.injection(f"{number.name} {time_number}"):
                _hit(setting, tally, project, number, whole=whole, anew=time_number % 4 == 0)
        setting.ground.clear(project)


_register(signal.SIGKILL, 80, 5)
_register(signal.SIGTERM, 60, 4)
_register(signal.SIGINT, 60, 4)


@fault("kills", "twice", "the harness gets SIGINT and, up to 0.3 s later, SIGTERM and SIGINT again")
def twice(setting: Setting, tally: Tally) -> None:
    """Somebody is impatient."""
    project = _project(setting.ground)
    whole = _whole_run(setting, project)
    for number in range(setting.times(12, 2)):
        with tally.injection(f"impatience {number}"):
            shutil.rmtree(project.root / ".harness", ignore_errors=True)
            running = setting.ground.start(project, "run", "--fresh")
            time.sleep(setting.random.random() * whole)
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                running.signal(each)
                time.sleep(setting.random.random() * 0.15)
            ended = running.wait(30)
            tally.tracebacks += ended.traceback
            tally.orphans += orphans()
            expect(ended.code in {0, 130}, f"it ended with {ended.code}: {ended.err[-300:]}")
    setting.ground.clear(project)


@fault("kills", "supervisor", "a supervisor of the running harness gets SIGKILL, its child lives on")
def supervisor_killed(setting: Setting, tally: Tally) -> None:
    """The child dies with it; the question is asked again, or the verdict blames nobody's version."""
    for number in range(setting.times(6, 2)):
        version = setting.ground.lmdeploy(f"8.{number}", "import time\ntime.sleep(1.5)")
        project = setting.ground.project(MATRIX.format(versions=f'"{version}"', backend="pytorch"))
        with tally.injection(f"supervisor {number}"):
            running = setting.ground.start(project, "run")
            victim = _probe_supervisor(running.pid)
            expect(victim, "no supervisor of a probe was ever seen")
            time.sleep(setting.random.random())
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(victim, signal.SIGKILL)
            ended = running.wait(60)
            tally.tracebacks += ended.traceback
            tally.orphans += orphans() + scratch_left(project)
            verdicts = [each.verdict for each in setting.ground.records(project)]
            expect(len(verdicts) == 1, f"{len(verdicts)} records, exit {ended.code}: {ended.err[-300:]}")
            expect(verdicts[0].startswith(("infra/import/", TRUE_VERDICT)), f"the verdict is {verdicts[0]}")
        setting.ground.clear(project)


def _probe_supervisor(harness: int) -> int:
    """An open handle of the first supervisor that has a probe as its child; 0 if there is none within 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for each in psutil.Process(harness).children():
            with contextlib.suppress(psutil.Error, OSError):
                if any("start.py" in " ".join(child.cmdline()) for child in each.children()):
                    return os.pidfd_open(each.pid)
        time.sleep(0.02)
    return 0

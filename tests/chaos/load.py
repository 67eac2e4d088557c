"""Load: thousands of combinations in one run, and many harnesses at once on one folder."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from typing import TYPE_CHECKING

from harness.results.store import ResultStore
from tests.chaos.ground import attempts, orphans, scratch_left
from tests.chaos.registry import expect, fault
from tests.miniatures import MODEL, make_wheel, transformers_files

if TYPE_CHECKING:
    from tests.chaos.ground import Ground, Running
    from tests.chaos.registry import Setting, Tally
    from tests.miniatures import MiniProject

MATRIX = """\
version: 1
axes:
  python: "3.11"
  lmdeploy: [{lmdeploys}]
  transformers: [{transformers}]
  backend: [transformers, pytorch]
  model: [{models}]
"""
LMDEPLOYS = 5
TRANSFORMERS = 10
OVERHEAD = 0.050
"""Seconds that one combination may cost on average."""
MEMORY = 1024
"""MiB that the harness may take at its peak."""
SESSIONS = 8


def _project(ground: Ground, models: int, lmdeploys: int, transformers: int) -> MiniProject:
    """A project whose models differ in name only, so that their stacks' answers are shared."""
    versions = [f"6.{number}" for number in range(transformers)]
    for each in versions:
        if not (ground.index / "wheels" / f"transformers-{each}-py3-none-any.whl").exists():
            make_wheel(ground.index / "wheels", "transformers", each, transformers_files())
    names = [f"mini{number}" for number in range(models)]
    matrix = MATRIX.format(
        lmdeploys=", ".join(f'"{each}"' for each in ground.good_lmdeploys(lmdeploys)),
        transformers=", ".join(f'"{each}"' for each in versions),
        models=", ".join(names),
    )
    project = ground.project(matrix)
    for each in names:
        (project.root / "models" / f"{each}.yaml").write_text(MODEL.replace("name: mini\n", f"name: {each}\n"))
    return project


def _count(tally: Tally, project: MiniProject, expected: int) -> None:
    """Every combination on record, once."""
    found = Counter(attempts(project))
    double = sum(count - 1 for count in found.values()) + sum(attempt > 1 for _, attempt in found)
    lost = expected - len({identity for identity, _ in found})
    tally.lost += double + lost
    expect(lost == 0, f"{lost} of {expected} combinations are not on record")
    expect(double == 0, f"{double} records are there twice")
    damage = ResultStore(project.root / "reports").damage()
    expect(not damage, f"damaged lines: {damage[:2]}")


@fault("load", "thousands", "5,000 combinations of 50 stacks in one run, then the same run again")
def thousands(setting: Setting, tally: Tally) -> None:
    """Memory, time for each combination, and one record for each."""
    models = setting.times(50, 4)
    project = _project(setting.ground, models, LMDEPLOYS, TRANSFORMERS)
    expected = models * LMDEPLOYS * TRANSFORMERS * 2
    with tally.injection("one run"):
        seconds, memory = _timed(setting.ground.start(project, "run", "-q"), tally)
        _count(tally, project, expected)
        tally.figures.append(_figure("first run", expected, seconds, memory))
        expect(seconds / expected < OVERHEAD or setting.quick, f"{1000 * seconds / expected:.1f} ms a combination")
        expect(memory < MEMORY, f"the harness took {memory} MiB")
    with tally.injection("the same again"):
        seconds, memory = _timed(setting.ground.start(project, "run", "-q"), tally)
        _count(tally, project, expected)
        tally.figures.append(_figure("second run, all known", expected, seconds, memory))
        expect(memory < MEMORY, f"the harness took {memory} MiB")
    tally.orphans += orphans() + scratch_left(project)
    setting.ground.clear(project)


def _timed(running: Running, tally: Tally) -> tuple[float, int]:
    """Seconds of wall time and MiB at the peak, of the harness alone."""
    started = time.monotonic()
    peak = 0
    while not running.poll():
        peak = max(peak, _resident(running.pid))
        time.sleep(0.1)
    seconds = time.monotonic() - started
    ended = running.wait()
    tally.tracebacks += ended.traceback
    expect(ended.code in {0, 1}, f"it ended with {ended.code}: {ended.err[-300:]}")
    return seconds, peak // 2**20


def _resident(pid: int) -> int:
    """Bytes of memory that are not shared with the suite, whose fork the harness is."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - read many times a second
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0  # just ended


def _figure(what: str, count: int, seconds: float, memory: int) -> str:
    load = os.getloadavg()[0]
    return (
        f"{what}: {count:,} combinations in {seconds:.0f} s, {1000 * seconds / count:.1f} ms each with everything (uv, "
        f"environments and probes included), {memory} MiB at the peak, load average {load:.1f}"
    )


@fault("load", "sessions", "8 harnesses at once run the same combinations in one folder")
def sessions(setting: Setting, tally: Tally) -> None:
    """Whoever comes second finds the other's answers and records."""
    for number in range(setting.times(1, 1)):
        models = setting.times(10, 4)
        project = _project(setting.ground, models, 2, 4)
        expected = models * 2 * 4 * 2
        with tally.injection(f"sessions {number}"):
            started = time.monotonic()
            running = [setting.ground.start(project, "run", "-q") for _ in range(SESSIONS)]
            ended = [each.wait(300) for each in running]
            tally.tracebacks += sum(each.traceback for each in ended)
            codes = {each.code for each in ended}
            expect(codes <= {0, 1}, f"they ended with {codes}: {[each.err[-200:] for each in ended if each.code > 1]}")
            _count(tally, project, expected)
            seconds = time.monotonic() - started
            tally.figures.append(f"{SESSIONS} harnesses, {expected} combinations each, in {seconds:.0f} s")
        tally.orphans += orphans() + scratch_left(project)
        setting.ground.clear(project)


@fault("load", "shares", "8 harnesses at once, each with its share of one matrix, as nox -j 8 does")
def shares(setting: Setting, tally: Tally) -> None:
    """Every session appends to the same record file."""
    models = setting.times(32, 8)
    project = _project(setting.ground, models, 2, 4)
    with tally.injection("shares"):
        running = [
            setting.ground.start(project, "run", "-q", *(f"*-mini{each}-*" for each in range(number, models, SESSIONS)))
            for number in range(SESSIONS)
        ]
        ended = [each.wait(300) for each in running]
        tally.tracebacks += sum(each.traceback for each in ended)
        expect({each.code for each in ended} <= {0, 1}, f"they ended with {[each.code for each in ended]}")
        _count(tally, project, models * 2 * 4 * 2)
    tally.orphans += orphans() + scratch_left(project)
    setting.ground.clear(project)

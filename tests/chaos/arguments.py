"""What a user can type that is no sense, and logs that never end; what a package prints for whoever looks on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.chaos.disk import project_of
from tests.chaos.ground import orphans
from tests.chaos.processes import MATRIX
from tests.chaos.registry import expect, fault
from tests.cli.test_console import HOSTILE, OBEYED

if TYPE_CHECKING:
    from tests.chaos.registry import Setting, Tally

HUGE = "9" * 30
SENSELESS: tuple[tuple[str, ...], ...] = (
    ("gate", "--from", "x"),
    ("bundle", "--python", "x"),
    ("bundle", "--python", HUGE),
    ("results", "--columns", ""),
    ("results", "--columns", ",,"),
    ("results", "--limit", HUGE),
    ("results", "--where", "lmdeploy>=" + HUGE),
    ("run", "--shard", f"1/{HUGE}"),
    ("run", "--shard", f"{HUGE}/{HUGE}"),
    ("run", "-j", HUGE),
    ("run", "--budget", "1e999h"),
    *(("run", "--gpu-hours", each) for each in ("nan", "-nan", "inf", "1e999", "-1", "0")),
    *(("run", "--budget", each) for each in ("nan", "inf", "-1h", "0s", "9" * 20 + "h")),
    *(("run", "-j", each) for each in ("nan", "-1", "0", "1e1")),
    *(("stacks", "--gpu-memory", each) for each in ("nan", "infGiB", "-8GiB", "0GiB", "1e999GiB")),
    *(("bundle", "--card", each) for each in ("nan", "9", "-9.0", f"{HUGE}.0", "\u0669.0", "9" * 5000 + ".0")),
    *(("bundle", "--part-mb", each) for each in ("nan", "0", "-1", HUGE)),
    *(("gate", "--retries", each) for each in ("nan", "-1", HUGE)),
    ("pin", "--name", ".."),
    ("pin", "--name", "."),
    ("pin", "--name", "a\nb"),
    ("pin", "--name", ""),
    ("plan", "--matrix", "/dev/zero"),
    ("plan", "--matrix", "/dev/tty"),
    ("plan", "--matrix", "/proc/self/mem"),
    ("explain", "--offline", "--stack", "/dev/zero", "/dev/null"),
    ("results", "--where", "id=\udcff"),
    ("run", "\udcff"),
    ("explain", "--offline", "\udcff"),
    ("symbol", "\udcff"),
    ("bisect", "\udcff", "x"),
)


@fault("input", "arguments", "options without sense, names that are no UTF-8, letters that the terminal lacks")
def arguments(setting: Setting, tally: Tally) -> None:
    """One clear line, in whatever letters there are."""
    project = project_of(setting.ground)
    setting.ground.harness(project, "run")
    for each in SENSELESS:
        with tally.injection(" ".join(each)[:80]):
            ended = setting.ground.harness(project, *each)
            tally.tracebacks += ended.traceback
            expect(not ended.traceback, f"it showed a traceback: {ended.err[-300:]}")
            expect(ended.code in {1, 2, 3}, f"it ended with {ended.code}: {(ended.err + ended.out)[-300:]}")
    for name in ("matrix.yaml", "ma\u00f1ana.yaml", os.fsdecode(b"\xff.yaml")):
        with tally.injection(f"only ASCII: {name!a}"):
            (project.root / name).write_text((project.root / "matrix.yaml").read_text())
            running = setting.ground.start_anew(project, "plan", "--matrix", name, PYTHONIOENCODING="ascii", LC_ALL="C")
            ended = running.wait()
            tally.tracebacks += ended.traceback
            expect(ended.code == 0 and not ended.traceback, f"it ended with {ended.code}: {ended.err[-300:]}")
    setting.ground.clear(project)


@fault("input", "pipes", "explain is given standard input that is closed, and pipes that give nothing or never end")
def pipes(setting: Setting, tally: Tally) -> None:
    """It says so, or waits for its minute in little memory and can be interrupted."""
    pipe = setting.ground.new_folder("pipe")
    os.mkfifo(pipe)
    explain = [sys.executable, "-m", "harness", "explain", "--offline"]
    for name, command, ends in (
        ("closed", f"exec {' '.join(explain)} - <&-", True),
        ("endless", f"yes | exec {' '.join(explain)} -", False),
        ("idle", f"exec {' '.join(explain)} {pipe}", False),
    ):
        with tally.injection(name):
            program = subprocess.Popen(
                ["bash", "-c", command],
                env=setting.ground.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_little_memory,  # noqa: PLW1509 - no threads here
            )
            if not ends:
                time.sleep(5)
                expect(program.poll() is None, f"it ended with {program.returncode}")
                os.killpg(program.pid, signal.SIGINT)
            said = program.communicate(timeout=60)[0].decode()
            tally.tracebacks += "Traceback" in said
            expect("Traceback" not in said and ("closed" in said or not ends), f"it says {said[-300:]}")
    tally.orphans += orphans()


def _little_memory() -> None:
    import resource  # noqa: PLC0415 - in the fork

    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))


@fault("untrusted", "terminal", "a package prints and raises what terminals and the runners of CI systems obey")
def terminal(setting: Setting, tally: Tally) -> None:
    """All of it is shown, by every command that shows it, and none of it obeyed."""
    ground = setting.ground
    for name in sorted(HOSTILE) if not setting.quick else setting.random.sample(sorted(HOSTILE), 3):
        with tally.injection(name):
            code = f"text = {HOSTILE[name]!r}\nprint(text * 2)\nraise RuntimeError('said\\n' + text)"
            version = ground.lmdeploy(f"5.{len(list((ground.index / 'wheels').glob('lmdeploy-5.*')))}", code)
            project = ground.project(MATRIX.format(version=version, idle=5, wall=30))
            whole = ""
            for command in (("run", "-v"), ("results",), ("results", "--format", "csv"), ("plan", "-v"), ("report",)):
                ended = ground.harness(project, *command)
                tally.tracebacks += ended.traceback
                whole += ended.out + ended.err
            ground.clear(project)
            expect("said" in whole, f"it does not show what was raised: {whole[-300:]}")
            expect(not [each for each in OBEYED if each in whole], f"it prints {whole[-300:]!a}")
            lines = [line for line in whole.splitlines() if line.lstrip().startswith("::")]
            expect(not lines, f"it prints {lines}")

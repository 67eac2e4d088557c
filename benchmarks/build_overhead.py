"""What the harness adds to building environments: every distinct stack of a matrix, against bare ``uv pip sync``.

    uvx --from . python -m benchmarks.build_overhead            # the default matrix, from uv's warm cache

Each stack is built twice in turn, once by ``uv venv`` + ``uv pip sync`` and nothing else, once by the harness (lock on
the folder, supervisors, marker), in alternating order so that a drifting machine treats both alike. Both install the
same hash-checked requirements from the same cache with hard links. Every environment is deleted after it was timed.
The result is a ratio, printed and, with ``--save FILE``, kept as JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.verdict import Stage
from harness.environments.environment import Environments
from harness.environments.install import source_arguments
from harness.environments.interpreters import find_interpreter
from harness.environments.uv import uv_binary, uv_version
from harness.matrix.project import Project
from harness.pipeline.limits import LIMITS
from harness.pipeline.stack import resolve
from harness.session.session import Session

if TYPE_CHECKING:
    from harness.environments.lock import Lock


def distinct_stacks(session: Session) -> list[tuple[Lock, Path, tuple[str, ...]]]:
    """Every lock of the matrix once, with its interpreter and the packages it may build."""
    stacks: dict[str, tuple[Lock, Path, tuple[str, ...]]] = {}
    for combination in session.combinations:
        if combination.excluded is not None:
            continue
        interpreter = find_interpreter(combination.python)
        lock = resolve(combination, session.resolver).lock
        if lock is not None:
            stacks.setdefault(lock.name, (lock, interpreter, combination.allow_source))
    return list(stacks.values())


def build_bare(lock: Lock, interpreter: Path, allow_source: tuple[str, ...], root: Path) -> float:
    """Seconds of ``uv venv`` and ``uv pip sync``."""
    folder = root / "bare"
    requirements = root / "requirements.txt"
    requirements.write_text(lock.requirements())
    started = time.perf_counter()
    subprocess.run([uv_binary(), "venv", "-q", "--no-project", "--python", str(interpreter), str(folder)], check=True)
    arguments = ["pip", "sync", "-q", "--offline", "--python", str(folder / "bin" / "python"), "--require-hashes"]
    subprocess.run([uv_binary(), *arguments, *source_arguments(allow_source), str(requirements)], check=True)
    seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return seconds


def build_with_harness(lock: Lock, interpreter: Path, allow_source: tuple[str, ...], root: Path) -> float:
    """Seconds of the harness's own build of the same lock."""
    environments = Environments(root / "harness")
    started = time.perf_counter()
    environments.build(lock, interpreter, LIMITS[Stage.INSTALL], allow_source=allow_source)
    seconds = time.perf_counter() - started
    environments.remove(lock.name)
    return seconds


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=Path, default=Path("matrix.yaml"))
    parser.add_argument("--save", type=Path, help="file for the figures, JSON")
    options = parser.parse_args()
    stacks = distinct_stacks(Session(Project.of(options.matrix)))
    bare = harness = 0.0
    with tempfile.TemporaryDirectory(prefix="build-overhead-", dir=Path.cwd()) as name:
        root = Path(name)
        for lock, interpreter, allow_source in stacks:
            build_bare(lock, interpreter, allow_source, root)  # warms uv's cache and the disk's
        for number, (lock, interpreter, allow_source) in enumerate(stacks):
            both = [build_bare, build_with_harness] if number % 2 else [build_with_harness, build_bare]
            for build in both:
                seconds = build(lock, interpreter, allow_source, root)
                if build is build_bare:
                    bare += seconds
                else:
                    harness += seconds
                print(f"{number + 1:3d}/{len(stacks)} {lock.name} {build.__name__:20s} {seconds:6.2f} s", flush=True)
    figures = {
        "stacks": len(stacks),
        "uv_seconds": round(bare, 2),
        "harness_seconds": round(harness, 2),
        "ratio": round(harness / bare, 3),
        "uv": uv_version(),
        "cpu": machine().cpu,
        "cores": machine().cores,
    }
    print(json.dumps(figures, indent=1))
    if options.save:
        options.save.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

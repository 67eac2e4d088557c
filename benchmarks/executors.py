"""What a run adds to the work it has done: thousands of miniature combinations over ``local`` and over ``ray``.

    python -m benchmarks.executors --executor local --executor ray [--combinations 10000] [--save]

Miniatures are tiny wheels served from a folder. Each stack here has 50 combinations: 25 models, which differ in name
only, on two backends. Three kinds of run, each a process of its own, started as a user would:

* **first**: nothing is there. uv resolves and installs every stack, probes run in children. How the cost grows is
  seen in the same run, by when each record was on file. For ``local``, the seconds of all children (uv, probes) are
  counted where they are waited for; what is left of the workers' time is the harness's own.
* **again**: resolutions, environments and answers are kept, the record file is not. No child is started, so all of
  the time is the harness's own: reading what is kept, judging, writing records one fsync each, rendering the report.
* **known**: the records are there too, and the run only finds that out.

Milliseconds a combination are the workers' time: seconds of the whole run, from the start of the process to its end,
times workers, divided by combinations. ``beyond_start_ms`` is the slope of a line through the four sizes, that is, less
what every run costs whatever its size (loading, and for ray the cluster). The exponent is that of a power law through
the same points less that constant: 1 is linear. Memory is the highest resident size of the driver process alone. One
bare subprocess (``python -I -c pass``) is timed in the same run, as the floor that nothing with children gets below.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.core.machine import machine
from harness.process.child import CHILDREN
from tests.miniatures import GOOD_BUILDER, MODEL, lmdeploy_files, make_index, make_project, make_wheel
from tests.miniatures import transformers_files as transformers

KEPT = Path(__file__).with_suffix(".json")
ROOT = Path(__file__).parents[1]
MODELS, TRANSFORMERS, BACKENDS = 25, 10, 2
PER_LMDEPLOY = MODELS * TRANSFORMERS * BACKENDS
FRACTIONS = (0.1, 0.25, 0.5, 1.0)
WORKERS = 2
LIMIT_MS = 50.0
"""Of the harness's own time for a combination under ``local``."""
MATRIX = """\
version: 1
axes:
  python: "3.11"
  lmdeploy: [{lmdeploys}]
  transformers: [{transformers}]
  backend: [transformers, pytorch]
  model: [{models}]
expect:
  - when: {{backend: pytorch}}
    verdict: fail/import/entrypoint-moved-or-misused
    because: the miniature has no command line
"""


@dataclass(frozen=True)
class Ground:
    """Where the miniatures are."""

    folder: Path
    lmdeploys: int

    @property
    def project(self) -> Path:
        """The project, with a matrix for each size."""
        return self.folder / "project"

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which uv knows the miniatures and nothing else."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "HARNESS_"))}
        return kept | {
            "UV_CONFIG_FILE": str(self.folder / "index" / "uv.toml"),
            "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            "UV_OFFLINE": "1",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
        }

    def make(self) -> None:
        """Wheels, models and matrices."""
        make_index(self.folder / "index")
        wheels = self.folder / "index" / "wheels"
        for number in range(TRANSFORMERS):
            make_wheel(wheels, "transformers", f"6.{number}", transformers())
        for number in range(self.lmdeploys):
            requires = ("torch", "pillow", "transformers")
            make_wheel(wheels, "lmdeploy", f"7.{number}", lmdeploy_files(GOOD_BUILDER), requires)
        make_project(self.project, self._matrix(self.lmdeploys))
        for number in range(MODELS):
            text = MODEL.replace("name: mini\n", f"name: mini{number}\n")
            (self.project / "models" / f"mini{number}.yaml").write_text(text)

    def sized(self, lmdeploys: int) -> int:
        """Let the matrix have so many versions of lmdeploy; how many combinations that are."""
        (self.project / "matrix.yaml").write_text(self._matrix(lmdeploys))
        return lmdeploys * PER_LMDEPLOY

    def _matrix(self, lmdeploys: int) -> str:
        return MATRIX.format(
            lmdeploys=", ".join(f'"7.{number}"' for number in range(lmdeploys)),
            transformers=", ".join(f'"6.{number}"' for number in range(TRANSFORMERS)),
            models=", ".join(f"mini{number}" for number in range(MODELS)),
        )


@dataclass(frozen=True)
class Measured:
    """One run."""

    combinations: int
    seconds: float
    memory_mib: int
    children_seconds: float
    marks: dict[int, float]
    """Seconds after the start at which so many records were on file."""

    def ms(self) -> float:
        """The workers' time for a combination."""
        return 1000 * WORKERS * self.seconds / self.combinations


def main() -> int:
    """Measure, print, keep; 1 when ``local`` costs more than it may, or a run is not what it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", choices=["local", "ray"], action="append", required=True)
    parser.add_argument("--combinations", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="kept, and taken up again [default: one that is deleted]")
    parser.add_argument("--step", choices=["first", "again"], action="append", help="[default: both]")
    parser.add_argument("--save", action="store_true", help=f"into {KEPT.name}")
    wanted = parser.parse_args()
    folder = wanted.folder or Path(tempfile.mkdtemp(prefix="executors-"))
    found: dict[str, Any] = json.loads(KEPT.read_text()) if wanted.save and KEPT.exists() else {}
    try:
        for executor in wanted.executor:
            ground = Ground(folder / executor, max(1, round(wanted.combinations / PER_LMDEPLOY)))
            if not ground.project.exists():
                ground.make()
            for step in wanted.step or ["first", "again"]:
                measure = _first if step == "first" else _again
                found.setdefault(executor, {})[step] = measure(ground, executor)
                print(json.dumps({executor: {step: found[executor][step]}}, indent=1), flush=True)
    finally:
        if wanted.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    found["limit_ms"] = LIMIT_MS
    if wanted.save:
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
    local = found.get("local", {})
    own = [local[step]["own_ms"] for step in ("first", "again") if step in local]
    return int(any(each > LIMIT_MS for each in own))


def _first(ground: Ground, executor: str) -> dict[str, Any]:
    """Everything for the first time, and how it grew."""
    shutil.rmtree(ground.project / ".harness", ignore_errors=True)
    shutil.rmtree(ground.folder / "uv-cache", ignore_errors=True)
    count = ground.sized(ground.lmdeploys)
    one = _run(ground, executor, count, time_children=executor == "local")
    grew = {number: one.marks[number] for number in _sizes(count)}
    constant, slope = _line(grew)
    figures = _common(one) | {
        "stacks": ground.lmdeploys * TRANSFORMERS,
        "all_ms": round(one.ms(), 1),
        "seconds_at": {str(number): round(seconds, 1) for number, seconds in grew.items()},
        "beyond_start_ms": round(1000 * WORKERS * slope, 1),
        "exponent": round(_exponent(grew, constant), 2),
    }
    if executor == "local":
        figures["children_ms"] = round(1000 * one.children_seconds / count, 1)
        figures["own_ms"] = round(one.ms() - 1000 * one.children_seconds / count, 1)
    return figures


def _again(ground: Ground, executor: str) -> dict[str, Any]:
    """With every answer kept, at each size; then with the records kept, too."""
    runs: dict[int, Measured] = {}
    for fraction in FRACTIONS:
        count = ground.sized(max(1, round(fraction * ground.lmdeploys)))
        runs[count] = _run(ground, executor, count)
    largest = runs[max(runs)]
    known = _run(ground, executor, largest.combinations, keep=True)
    seconds = {number: each.seconds for number, each in runs.items()}
    constant, slope = _line(seconds)
    return _common(largest) | {
        "own_ms": round(largest.ms(), 1),
        "own_ms_at": {str(number): round(each.ms(), 1) for number, each in runs.items()},
        "seconds_at": {str(number): round(each.seconds, 1) for number, each in runs.items()},
        "memory_mib_at": {str(number): each.memory_mib for number, each in runs.items()},
        "start_seconds": round(max(0.0, constant), 1),
        "beyond_start_ms": round(1000 * WORKERS * slope, 1),
        "exponent": round(_exponent(seconds, constant), 2),
        "known_seconds": round(known.seconds, 1),
        "known_memory_mib": known.memory_mib,
    }


def _common(one: Measured) -> dict[str, Any]:
    return {
        "combinations": one.combinations,
        "workers": WORKERS,
        "seconds": round(one.seconds, 1),
        "a_second": round(one.combinations / one.seconds, 1),
        "driver_memory_mib": one.memory_mib,
        "bare_subprocess_ms": round(_bare(), 1),
        "load_average": round(os.getloadavg()[0], 1),
        "cpu": machine().cpu,
        "cores": machine().cores,
        "ray": version("ray"),
        "day": datetime.now(UTC).date().isoformat(),
    }


def _run(ground: Ground, executor: str, count: int, *, keep: bool = False, time_children: bool = False) -> Measured:
    """One run as a process of its own.

    Raises:
        SystemExit: it did not end as it must.
    """
    reports = ground.project / "reports"
    if not keep:
        shutil.rmtree(reports, ignore_errors=True)
    children = ground.folder / "children.txt"
    children.unlink(missing_ok=True)
    program = ["-c", f"from benchmarks.executors import timed; timed({str(children)!r})"]
    command = [sys.executable, *(program if time_children else ["-m", "harness"]), "run", "-q", "-j", str(WORKERS)]
    printed = ground.folder / "printed.txt"
    started = time.time()
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--executor", executor],
            cwd=ground.project,
            env=ground.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        memory = 0
        while process.poll() is None:
            memory = max(memory, _peak(process.pid))
            time.sleep(0.05)
    seconds = time.time() - started
    lines = (reports / "results.jsonl").read_bytes().splitlines() if (reports / "results.jsonl").exists() else []
    if process.returncode or len(lines) != count:
        told = printed.read_text(errors="replace")[-2000:]
        raise SystemExit(f"the run ended with {process.returncode} and {len(lines)} of {count} records:\n{told}")
    finished = sorted(datetime.fromisoformat(json.loads(line)["finished"]).timestamp() - started for line in lines)
    marks = dict(enumerate(finished, start=1))
    spent = float(children.read_text()) if children.exists() else 0.0
    return Measured(count, seconds, memory, spent, marks)


def timed(file: str) -> None:
    """Be the harness, and write down the seconds that its workers waited for children."""
    from harness.__main__ import main as harness  # noqa: PLC0415 - only in the run's own process

    spent: list[float] = []
    plain = type(CHILDREN).run

    def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the real one takes and gives
        began = time.monotonic()
        try:
            return plain(*arguments, **named)
        finally:
            spent.append(time.monotonic() - began)

    type(CHILDREN).run = run  # type: ignore[method-assign]
    try:
        harness()
    finally:
        Path(file).write_text(str(sum(spent)))


def _peak(pid: int) -> int:
    """MiB of the highest resident size so far; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _bare() -> float:
    """Milliseconds of a process that does nothing, the median of many."""
    times = []
    for _ in range(41):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def _sizes(count: int) -> list[int]:
    return [round(fraction * count) for fraction in FRACTIONS]


def _line(points: dict[int, float]) -> tuple[float, float]:
    """Constant and slope of a line through them."""
    slope, constant = statistics.linear_regression(list(points), list(points.values()))
    return constant, slope


def _exponent(points: dict[int, float], constant: float) -> float:
    """Of a power law through the points less the constant, where there is anything left of them."""
    above = {number: seconds - max(0.0, constant) for number, seconds in points.items()}
    kept = {number: seconds for number, seconds in above.items() if seconds > 0}
    return statistics.linear_regression(
        [math.log(number) for number in kept], [math.log(seconds) for seconds in kept.values()]
    ).slope


if __name__ == "__main__":
    raise SystemExit(main())

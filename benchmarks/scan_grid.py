"""How long the scan takes: ``python -m benchmarks.scan_grid [--write benchmarks/scan_grid.json]``.

Three measurements, on the real packages from the configured index:

1. The troubleshooting log's deadlock, settled from an empty cache: everything fetched, parsed and answered.
2. The whole map from a cache that holds the sources but nothing parsed of them, on two processes.
3. The whole map again, everything parsed.

A loaded machine shows in wall times; processor times and the load are printed beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.scan_output import settlement
from harness.index.cache import default_folder
from harness.scan.answers.deadlock import settle
from harness.scan.answers.grid import make_grid
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import QWEN2_VL
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from harness.scan.answers.grid import Grid

ENGINE = "0.11.1"
MODULE = "transformers_stream_generator"
COLD_LIMIT = 20.0
"""Seconds for the deadlock from an empty cache."""
GRID_LIMIT = 60.0
"""Seconds for the map from a warm wheel cache, on two cores."""
PAIR_LIMIT = 5.0
"""Milliseconds a pair, after indexing."""


def cold_deadlock() -> dict[str, Any]:
    """Settle the log's deadlock from an empty cache."""
    with tempfile.TemporaryDirectory(prefix="scan-cold-") as folder:
        clock, processor = time.perf_counter(), _processor()
        library = Library(Path(folder))
        found = settle(Scanner(library, QWEN2_VL.with_imports((MODULE,))), ENGINE)
        library.close()
        traffic = library.index.downloads.traffic
        print(settlement(found))
        return {
            "seconds": round(time.perf_counter() - clock, 2),
            "processor_seconds": round(_processor() - processor, 2),
            "requests": traffic.requests,
            "megabytes": round(traffic.bytes / 1e6, 1),
            "left": [str(found.left[0]), str(found.left[-1]), len(found.left)] if found.left else [],
        }


def whole_map(cache: Path, jobs: int) -> dict[str, Any]:
    """Scan every pair with what the cache holds."""
    before = _processor()
    clock = time.perf_counter()
    library = Library(cache)
    grid = make_grid(library, QWEN2_VL, jobs=jobs)
    library.close()
    return _told(grid, time.perf_counter() - clock, _processor() - before)


def _told(grid: Grid, seconds: float, processor: float) -> dict[str, Any]:
    pairs = len(grid.cells)
    return {
        "pairs": pairs,
        "lmdeploy": len(grid.lmdeploy),
        "transformers": len(grid.transformers),
        "verdicts": dict(Counter(str(cell.verdict) for cell in grid.cells.values())),
        "evaluations": grid.evaluations,
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "seconds_reading_engines": round(grid.seconds_reading, 2),
        "milliseconds_a_pair": round(1000 * grid.seconds_pairs / pairs, 2),
        "processor_milliseconds_a_pair": round(1000 * processor / pairs, 2),
        "peak_mib_of_a_process": grid.peak_mib,
    }


def _processor() -> float:
    """Processor seconds of this process and its ended children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=default_folder(), help="the scan's cache; copied, not changed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, help="keep the numbers in this file")
    parser.add_argument("--only", choices=("cold", "map"))
    given = parser.parse_args()
    numbers: dict[str, Any] = {"cores": os.cpu_count(), "load_before": [round(x, 1) for x in os.getloadavg()]}
    if given.only != "map":
        numbers["cold_deadlock"] = cold_deadlock()
        print(json.dumps(numbers["cold_deadlock"]))
    if given.only != "cold":
        whole_map(given.cache, given.jobs)  # whatever is missing is fetched now
        with tempfile.TemporaryDirectory(prefix="scan-map-") as name:
            copy = Path(name)
            shutil.copytree(given.cache, copy, dirs_exist_ok=True)
            library = Library(copy)
            library.store.forget_readings()
            library.close()
            for key in ("map_from_sources", "map_from_readings"):
                numbers[key] = whole_map(copy, given.jobs)
                print(key, json.dumps(numbers[key]))
    numbers["load_after"] = [round(x, 1) for x in os.getloadavg()]
    print(json.dumps(_kept(numbers)))
    if given.write is not None:
        given.write.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


def _kept(numbers: dict[str, Any]) -> dict[str, bool]:
    """Which limits hold."""
    held: dict[str, bool] = {}
    if "cold_deadlock" in numbers:
        held[f"deadlock within {COLD_LIMIT:.0f} s"] = numbers["cold_deadlock"]["seconds"] <= COLD_LIMIT
    if "map_from_sources" in numbers:
        held[f"map within {GRID_LIMIT:.0f} s"] = numbers["map_from_sources"]["seconds"] <= GRID_LIMIT
        held[f"pair within {PAIR_LIMIT:.0f} ms"] = numbers["map_from_readings"]["milliseconds_a_pair"] <= PAIR_LIMIT
    return held


if __name__ == "__main__":
    main()

"""Whether a run on two Ray nodes comes to the verdicts of a local run, also when a node is killed meanwhile.

    python -m benchmarks.ray_verdicts REFERENCE/results.jsonl [--kill-after N] [--reports FOLDER] [options of the run]

Two raylets, each with one core, are started on this machine; the run joins them. With ``--kill-after``, the second one
and everything of it is killed with SIGKILL as soon as N records are on file. Every verdict is then compared with the
reference's latest one of the same id.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from harness.results.store import ResultStore

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}


def main() -> int:
    """Run, compare; 0 when all verdicts agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--kill-after", type=int)
    parser.add_argument("--reports", type=Path)
    own, rest = parser.parse_known_args()
    reports = own.reports or Path(tempfile.mkdtemp(prefix="ray-verdicts-"))
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_register_timeout_seconds": "300"})
    Path("/tmp/ray").mkdir(exist_ok=True)  # noqa: S108 - Ray's own folder, which its test cluster takes for granted
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - reads the environment when it is loaded

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    # a driver joins a node that has the address of the latest one, and goes down with it: that must not be the second
    second = cluster.add_node(**NODE, node_ip_address="127.0.0.2")
    head: Any = cluster.head_node
    cluster.add_node(**{**NODE, "num_cpus": 0}, node_ip_address=head.node_ip_address)
    started = time.monotonic()
    command = [sys.executable, "-m", "harness", "run", "--executor", "ray", "--address", cluster.address]
    running = subprocess.Popen([*command, "--reports", str(reports), *rest])
    if own.kill_after is not None:
        killed = _kill_when(reports / "results.jsonl", own.kill_after, second, running)
        print(f"killed the second node: {killed} processes, after {time.monotonic() - started:.0f} s", flush=True)
    code = running.wait()
    print(f"lmdeploy-harness run ended with {code} after {time.monotonic() - started:.0f} s")
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return _compare(own.reference, reports)


def _kill_when(file: Path, lines: int, node: object, running: subprocess.Popen[bytes]) -> int:
    """Kill the raylet of the node and all below it, once the file has so many lines."""
    while running.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") < lines):
        time.sleep(0.05)
    if running.poll() is not None:
        raise SystemExit("the run was over before the node could be killed")
    raylets = [each[0].process for name, each in node.all_processes.items() if name == "raylet"]  # type: ignore[attr-defined]
    doomed = [each for one in raylets for each in [psutil.Process(one.pid), *psutil.Process(one.pid).children(True)]]
    for each in doomed:
        try:
            os.kill(each.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # went with its parent
    return len(doomed)


def _compare(reference: Path, reports: Path) -> int:
    wanted = {each.id: each for each in ResultStore(reference.parent).records()}
    found = {each.id: each for each in ResultStore(reports).records()}
    both = wanted.keys() & found.keys()
    other = sorted(name for name in both if wanted[name].verdict != found[name].verdict)
    reused = [check.reused for each in found.values() for stage in each.stages for check in stage.checks]
    print(f"{len(found)} records, {len(both)} of them in the reference, {len(both) - len(other)} with the same verdict")
    print(f"by node: {dict(Counter(each.machine.node for each in found.values()))}")
    print(f"checks: {len(reused)}, of which {sum(reused)} were answered by an earlier one")
    print(f"attempts: {dict(Counter(each.attempt for each in found.values()))}, load average {os.getloadavg()[0]:.1f}")
    for name in other:
        print(f"  differs: {name}\n    reference {wanted[name].verdict}\n    found     {found[name].verdict}")
    return 1 if other or not both else 0


if __name__ == "__main__":
    raise SystemExit(main())

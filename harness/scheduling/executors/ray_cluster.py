"""Reaching a Ray cluster, or starting one of this machine alone, within a time that somebody is willing to wait."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from harness.core.errors import RunBroken
from harness.core.machine import machine
from harness.scheduling.executors.ray_reaper import names

if TYPE_CHECKING:
    from collections.abc import Mapping

QUIET: Mapping[str, Any] = {"logging_level": "error", "log_to_driver": False}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers use this environment as it is, also offline
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks without a GPU say so themselves
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_register_timeout_seconds": "300",  # a worker of a loaded machine takes its time
}
JOINING = {"RAY_NUM_REDIS_GET_RETRIES": "2"}
"""Each asks for 40 s; Ray's own twenty keep one waiting for a quarter of an hour."""
STARTING = {"RAY_NUM_REDIS_GET_RETRIES": "120"}
"""Each a second, for the head of a Ray that this machine starts under load."""
STARTS = 3
"""Ray gives its own processes 30 s, which cannot be set; on a loaded machine the second start finds them in memory."""
OBJECT_STORE = 200 * 2**20
"""Bytes of shared memory for a Ray of this machine: what travels is models, answers and logs."""
PATIENCE = 5.0
"""Seconds within which a cluster's head takes a connection."""
FOLDER = "harness-ray-"
_REAPER = Path(__file__).with_name("ray_reaper.py")
_REAPERS: list[subprocess.Popen[bytes]] = []
"""Kept, since each ends with the pipe to it: when this process does."""
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})")


def demand_answer(address: str | None) -> None:
    """See to it that somebody listens at a cluster's address; Ray itself would wait for minutes.

    Args:
        address: ``host:port``, or ``auto`` or None, of which nothing can be known yet.

    Raises:
        RunBroken: it is no such address, or nobody answers there.
    """
    if address in {None, "auto"}:
        address = os.environ.get("RAY_ADDRESS") if address == "auto" else None
    if address is None:
        return
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise RunBroken(f"{address!r} is not the address of a Ray cluster; say auto, or host:port of its head")
    try:
        socket.create_connection((parts["six"] or parts["host"], int(parts["port"])), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise RunBroken(
            f"no Ray cluster at {address}: {error}; 'ray start --head' starts one, and prints its address"
        ) from error


class OwnNode:
    """The node of this machine, through which a driver reaches everything else.

    Ray ends a driver that has lost it, with 1 and without a word, when the cluster's head has missed the node's
    heartbeats (seen with 2.60: 14 s later). Looked at often enough, its loss is told before that.
    """

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - as below
        own = ray.get_runtime_context().get_node_id()
        socket_name = next(each["RayletSocketName"] for each in ray.nodes() if each["NodeID"] == own)
        self._raylet = next((each for each in psutil.process_iter(["name"]) if _is_raylet(each, socket_name)), None)

    def demand(self) -> None:
        """See to it that it is there; one that cannot be seen from here counts as there.

        Raises:
            RunBroken: it is gone.
        """
        if self._raylet is None:
            return
        with suppress(psutil.NoSuchProcess):
            if self._raylet.is_running() and self._raylet.status() != psutil.STATUS_ZOMBIE:
                return
        raise RunBroken(
            f"Ray on this machine does not answer any more: its node (process {self._raylet.pid}) is gone; "
            "see to it that it runs again, or run with --executor local"
        )


def _is_raylet(process: psutil.Process, socket_name: str) -> bool:
    return process.info["name"] == "raylet" and names(process, socket_name)


def start_local(ray: Any, cpus: int, resources: Mapping[str, float]) -> str:  # noqa: ANN401 - the module, if it is there
    """Start a Ray of this machine alone and join it; its folder, to be deleted after ``ray.shutdown()``.

    Raises:
        Exception: whatever Ray raises when it does not start; nothing of it is left.
    """
    package = str(Path(__file__).parents[3])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    for left in reversed(range(STARTS)):
        folder = tempfile.mkdtemp(prefix=FOLDER, dir="/tmp")
        command = [sys.executable, str(_REAPER), folder]
        _REAPERS.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=len(machine().gpus),
                resources=dict(resources),
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                _temp_dir=folder,
                _node_ip_address="127.0.0.1",
                **QUIET,
            )
        except BaseException as error:
            _clear(ray, folder)
            if not left or not isinstance(error, Exception):
                raise
        else:
            return folder
    raise AssertionError("unreachable: the last start returns or raises")


def _clear(ray: Any, folder: str) -> None:  # noqa: ANN401 - as above
    """End what is left of a start that failed: Ray itself would only do so at this process's end."""
    started = [each for each in psutil.Process().children(recursive=True) if names(each, folder)]
    with suppress(Exception):  # it may be in any state
        ray.shutdown()
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(started, timeout=5)
    shutil.rmtree(folder, ignore_errors=True)

"""What this machine is and has: the facts that go into every record and decide what must stay blocked."""

from __future__ import annotations

import functools
import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pynvml

from harness.core.records import MachineRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


NODE = "HARNESS_NODE"
"""Environment variable with the name of this machine among several, set by whoever runs on several."""


@functools.cache
def machine() -> MachineRecord:
    """The facts, read once a process."""
    names, memories, capabilities, driver = _gpus()
    return MachineRecord(
        os=_os_name(),
        kernel=platform.release(),
        wsl="microsoft" in platform.release().lower() or bool(os.environ.get("WSL_DISTRO_NAME")),
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_mib=psutil.virtual_memory().total // 2**20,
        gpus=names,
        gpu_memory_mib=memories,
        gpu_capability=capabilities,
        driver=driver,
        node=os.environ.get(NODE, ""),
    )


def _os_name() -> str:
    with suppress(OSError):  # not a freedesktop system: the kernel's own name has to do
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{platform.system()} {platform.release()}"


def _cpu_name() -> str:
    with suppress(OSError):  # no /proc: the generic name has to do
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _gpus() -> tuple[list[str], list[int], list[str], str | None]:
    """Names, memory in MiB, compute capabilities, driver: of the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves visible."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return [], [], [], None  # no driver library, or a driver without a GPU
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        names: list[str] = []
        memories: list[int] = []
        capabilities: list[str] = []
        for index in visible_devices(device_uuids()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            names.append(str(pynvml.nvmlDeviceGetName(handle)))
            memories.append(int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20)
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            capabilities.append(f"{major}.{minor}")
        return names, memories, capabilities, str(driver)
    finally:
        pynvml.nvmlShutdown()


def visible_devices(uuids: Sequence[str]) -> Iterator[int]:
    """Indices of the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves visible.

    Args:
        uuids: of all GPUs, in the driver's order. The variable names a GPU by its index or by how its UUID begins.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        yield from range(len(uuids))
        return
    for part in (each.strip() for each in chosen.split(",")):
        if part.isdigit() and int(part) < len(uuids):
            yield int(part)
            continue
        named = [index for index, uuid in enumerate(uuids) if part.startswith("GPU-") and uuid.startswith(part)]
        if len(named) != 1:
            return  # CUDA itself stops at the first device it does not know
        yield named[0]


def device_uuids() -> list[str]:
    """The UUIDs of all GPUs, in the driver's order; NVML has to be open."""
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]

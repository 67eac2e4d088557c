"""Stand-ins for the few GPU queries that building a model's graph makes, for machines without a driver.

The graph's modules import Triton kernels, and Triton asks for its driver while their decorators run; layers ask torch
for the device's capability to choose a kernel. Both are answered here for one assumed card. Nothing is computed on it,
and every fact made with these says so.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

from ..running.driver import driver_present

CAPABILITY = (9, 0)
"""Assumed compute capability: one that every version's kernels know."""
MEMORY_BYTES = 80 * 1024**3
MULTIPROCESSORS = 132
SHARED_MEMORY_BYTES = 232_448
WARP = 32
NAME = "stand-in"


class TritonDriver:
    """What Triton's kernels and autotuner ask of an active driver, answered for the assumed card."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.utils = SimpleNamespace(
            get_device_properties=lambda _device: {
                "max_shared_mem": SHARED_MEMORY_BYTES,
                "multiprocessor_count": MULTIPROCESSORS,
                "max_num_regs": 65_536,
                "warpSize": WARP,
            }
        )

    def get_current_target(self) -> Any:
        """The assumed card as Triton's target."""
        return self._target

    def get_current_device(self) -> int:
        """The first and only one."""
        return 0

    def set_current_device(self, _device: int) -> None:
        """Nothing to set."""

    def get_device_capability(self, _device: int = 0) -> Tuple[int, int]:
        """The assumed card's."""
        return CAPABILITY

    def get_current_stream(self, _device: int = 0) -> int:
        """The default stream."""
        return 0

    def get_device_interface(self) -> Any:
        """What Triton would benchmark with."""
        return importlib.import_module("torch").cuda

    def get_active_torch_device(self) -> Any:
        """Named, never used: nothing runs."""
        return importlib.import_module("torch").device("cuda", 0)

    def get_benchmarker(self) -> Any:
        """Asked for when an autotuner is built; called only when a kernel runs, which none does."""
        return refuse_to_run


def refuse_to_run(*_arguments: Any, **_keywords: Any) -> Any:
    """Called when something tries to run on the assumed card.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError("a kernel was to run on the stand-in for the GPU")


def install(*, triton: bool) -> Dict[str, Any]:
    """Put the stand-ins in place unless this machine has a driver; what was replaced, for a fact.

    What is not installed is left to the check to miss.

    Args:
        triton: also stand in for Triton's driver, for checks that import kernels.
    """
    if driver_present() or not installed("torch"):
        return {"used": False}
    replaced = [*(stand_in_for_triton() if triton and installed("triton") else []), *stand_in_for_torch()]
    return {"used": True, "capability": list(CAPABILITY), "replaced": replaced}


def installed(package: str) -> bool:
    """Whether the package can be imported; it is not imported for the answer."""
    return package in sys.modules or importlib.util.find_spec(package) is not None


def stand_in_for_triton() -> List[str]:
    """Make the stand-in Triton's active driver."""
    compiler = importlib.import_module("triton.backends.compiler")
    target = compiler.GPUTarget("cuda", CAPABILITY[0] * 10 + CAPABILITY[1], WARP)
    importlib.import_module("triton.runtime.driver").driver.set_active(TritonDriver(target))
    return ["triton.runtime.driver"]


def always(answer: Any) -> Callable[..., Any]:
    """A function that answers so whatever it is asked."""
    return lambda *_arguments, **_keywords: answer


def stand_in_for_torch() -> List[str]:
    """Answer torch's queries about the device; allocating or running on it still fails."""
    cuda = importlib.import_module("torch").cuda
    properties = SimpleNamespace(
        name=NAME,
        major=CAPABILITY[0],
        minor=CAPABILITY[1],
        total_memory=MEMORY_BYTES,
        multi_processor_count=MULTIPROCESSORS,
        shared_memory_per_block_optin=SHARED_MEMORY_BYTES,
        warp_size=WARP,
    )
    answers = {
        "get_device_properties": properties,
        "get_device_capability": CAPABILITY,
        "get_device_name": NAME,
        "current_device": 0,
        "device_count": 1,
        "is_bf16_supported": True,
        "mem_get_info": (MEMORY_BYTES, MEMORY_BYTES),
    }
    for name, answer in answers.items():
        setattr(cuda, name, always(answer))
    return [f"torch.cuda.{name}" for name in answers]

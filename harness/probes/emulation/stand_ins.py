"""What a GPU and Triton's compiler would have answered, so that lmdeploy's own code runs on the CPU.

Nothing here computes anything of lmdeploy's: its model, its weights loader and its Triton kernels run as they are (see
``interpreter.py``). For kernels written in tilelang, and for packages of CUDA code, ``kernels.py`` has torch versions.
Every stand-in in use is named in the stage's facts.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

from ..engines import gpu_stand_ins
from ..running.events import Blocked
from . import interpreter, lock_step

VARIABLES = {
    "TRITON_INTERPRET": "1",  # kernels become numpy programs instead of GPU code
    "TORCHDYNAMO_DISABLE": "1",  # nothing is compiled for the CPU either: compiling takes longer than running
    "CUDA_VISIBLE_DEVICES": "",  # a GPU in this machine must not answer for the emulated one
}
CAPABILITY = (8, 0)
"""Of the assumed card: one that starts no kernel from within another, which the interpreter cannot."""
MULTIPROCESSORS = 4
"""Of the assumed card: few, since kernels split their work over them, and enough for any number of heads."""
REPLACED: List[str] = []
"""What was replaced so far."""
UNEMULATED = "platform-limits"
"""Reason family of what cannot be emulated."""


class Assumed(SimpleNamespace):
    """An object with some answers, which says so when it is asked for another."""

    def __getattr__(self, name: str) -> Any:
        """Nothing.

        Raises:
            AttributeError: always; whoever only looks whether there is an answer goes on.
        """
        raise AttributeError(f"a stand-in has no answer to {name!r}")


class Event:
    """A mark on the one stream: whatever comes before it is done."""

    def __init__(self, *_arguments: Any, **_keywords: Any) -> None:
        """Nothing to set."""

    def record(self, *_arguments: Any) -> None:
        """Nothing to wait for later."""

    wait = synchronize = record

    def query(self) -> bool:
        """Whether everything before it is done."""
        return True


def prepare() -> None:
    """Choose the interpreter; before anything imports Triton.

    Raises:
        Blocked: Triton is loaded already, and its functions are the compiler's.
    """
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != VARIABLES["TRITON_INTERPRET"]:
        raise Blocked("Triton was loaded before its interpreter could be chosen", UNEMULATED)
    os.environ.update(VARIABLES)


def install() -> List[str]:
    """Put all of them in place, once in a process; what was replaced."""
    if not REPLACED:
        gpu_stand_ins.CAPABILITY = CAPABILITY
        REPLACED.extend(sorted(f"${name}" for name in VARIABLES))
        for stand_in in STAND_INS:
            REPLACED.extend(stand_in())
    return REPLACED


def few_multiprocessors() -> List[str]:
    """The assumed card's queries, with few multiprocessors.

    Kernels split their work over them; the interpreter takes the pieces one after the other.
    """
    replaced = gpu_stand_ins.stand_in_for_torch()
    importlib.import_module("torch").cuda.get_device_properties().multi_processor_count = MULTIPROCESSORS
    return replaced


def autotuner() -> List[str]:
    """No configuration is faster than another, so the first is taken."""
    driver: Any = importlib.import_module("triton.runtime.driver").driver.active
    driver.get_benchmarker = lambda: first_is_best
    return ["triton.runtime.driver.get_benchmarker"]


def streams() -> List[str]:
    """One stream, on which everything is done when the call returns."""
    cuda = importlib.import_module("torch").cuda
    stream = Assumed(cuda_stream=0, synchronize=lambda: None, wait_stream=lambda _other: None)
    answers: Dict[str, Callable[..., Any]] = {
        "current_stream": lambda *_: stream,
        "Event": Event,
        "stream": contextlib.nullcontext,
        "synchronize": lambda *_: None,
    }
    for name, answer in answers.items():
        setattr(cuda, name, answer)
    return [f"torch.cuda.{name}" for name in answers]


def harmony() -> List[str]:
    """No vocabulary of gpt-oss's answers, which its package fetches from the network: nothing here parses an answer."""
    if importlib.util.find_spec("openai_harmony") is None:
        return []
    package: Any = importlib.import_module("openai_harmony")
    package.load_harmony_encoding = lambda *_: Assumed()
    return ["openai_harmony.load_harmony_encoding"]


def first_is_best(*_arguments: Any, quantiles: Any = None, **_keywords: Any) -> Any:
    """What the autotuner is told of every configuration: times of equal length, so that it takes its first."""
    return 1.0 if quantiles is None else [1.0 for _ in quantiles]


STAND_INS: Tuple[Callable[[], List[str]], ...] = (
    gpu_stand_ins.stand_in_for_triton,
    few_multiprocessors,
    streams,
    autotuner,
    harmony,
    interpreter.scalars_as_integers,
    interpreter.elementwise_and_or,
    interpreter.spare_checks,
    interpreter.gpu_library,
    interpreter.shapes_once,
    lock_step.install,
)
"""Each puts itself in place and tells what it replaced."""

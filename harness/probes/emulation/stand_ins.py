"""What a GPU and Triton's compiler would have answered, so that lmdeploy's own code runs on the CPU.

Nothing here computes anything of lmdeploy's: its model, its weights loader and its kernels run as they are. Which
stand-ins a version of lmdeploy needs stands in :data:`GENERATIONS`; every one in use is named in the stage's facts.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

from ..engines import gpu_stand_ins
from ..running.events import Blocked

VARIABLES = {
    "TRITON_INTERPRET": "1",  # kernels become numpy programs instead of GPU code
    "TORCHDYNAMO_DISABLE": "1",  # nothing is compiled for the CPU either: compiling takes longer than running
    "CUDA_VISIBLE_DEVICES": "",  # a GPU in this machine must not answer for the emulated one
}
KERNELS = "lmdeploy.pytorch.kernels"
CAPABILITY = (8, 0)
"""Of the assumed card: one that starts no kernel from within another, which the interpreter cannot."""
MULTIPROCESSORS = 1
"""Of the assumed card."""
COMBINED = "harness_combined"
"""Name under which rewritten kernels find the element-wise ``and`` and ``or``."""
INTEGERS_SINCE = (3, 7)
"""The first Triton whose interpreter makes integers of its scalars with every numpy."""
UNEMULATED = "platform-limits"
"""Reason family of what cannot be emulated."""


@dataclass(frozen=True)
class Generation:
    """Versions of lmdeploy that the same stand-ins fit."""

    since: Tuple[int, ...]
    stand_ins: Tuple[str, ...]
    """Names in :data:`STAND_INS`, in the order in which they are put in place."""
    made_up: Tuple[str, ...]
    """Objects of the engine that are made up, without code of their own: the model only reads them."""

    @property
    def name(self) -> str:
        """How facts call it."""
        return "from " + ".".join(map(str, self.since))


SCHEDULER = "scheduler"
"""Made up where the sequence, which is lmdeploy's own, keeps mrope positions: its session and scheduler."""
CACHE = "cache engine"
"""Made up everywhere: the holder of key and value blocks."""
ALWAYS = ("triton-driver", "torch-cuda", "streams", "autotuner", "integers")
GENERATIONS = (
    Generation((0, 9), (*ALWAYS, "and-or"), (CACHE,)),
    Generation((0, 10), ALWAYS, (CACHE,)),
    Generation((0, 12), ALWAYS, (CACHE, SCHEDULER)),
)
"""Oldest first. A version older than all is tried with the first, one newer than all with the last."""


def generation_of(version: str) -> Generation:
    """The generation that a version of lmdeploy belongs to."""
    numbers = version_numbers(version)
    return next((each for each in reversed(GENERATIONS) if each.since <= numbers), GENERATIONS[0])


def version_numbers(version: str) -> Tuple[int, ...]:
    """The leading numbers of a version, for comparing: (0, 9, 2) of ``0.9.2.post1``."""
    numbers: List[int] = []
    for part in version.split("+", maxsplit=1)[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


class Assumed(SimpleNamespace):
    """An object with some answers, which says so when it is asked for another."""

    def __getattr__(self, name: str) -> Any:
        """Nothing.

        Raises:
            AttributeError: always; whoever only looks whether there is an answer goes on.
        """
        raise AttributeError(f"a stand-in has no answer to {name!r}")


def prepare() -> None:
    """Choose the interpreter; before anything imports Triton.

    Raises:
        Blocked: Triton is loaded already, and its functions are the compiler's.
    """
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != VARIABLES["TRITON_INTERPRET"]:
        raise Blocked("Triton was loaded before its interpreter could be chosen", UNEMULATED)
    os.environ.update(VARIABLES)


def install(generation: Generation) -> List[str]:
    """Put the generation's stand-ins in place; what was replaced."""
    gpu_stand_ins.CAPABILITY = CAPABILITY
    replaced = sorted(f"${name}" for name in VARIABLES)
    for name in generation.stand_ins:
        replaced += STAND_INS[name]()
    return replaced


def one_multiprocessor() -> List[str]:
    """The assumed card's queries, with one multiprocessor.

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
        "stream": contextlib.nullcontext,
        "synchronize": lambda *_: None,
    }
    for name, answer in answers.items():
        setattr(cuda, name, answer)
    return [f"torch.cuda.{name}" for name in answers]


def scalars_as_integers() -> List[str]:
    """Let Triton's interpreter turn its scalars, which are arrays of one element, into integers.

    From numpy 2.4 on only arrays without dimensions can be; Triton knows since 3.7.
    """
    if version_numbers(importlib.import_module("triton").__version__) >= INTEGERS_SINCE:
        return []
    interpreter: Any = importlib.import_module("triton.runtime.interpreter")
    original = interpreter._patch_lang_tensor  # noqa: SLF001 - where it gives tensors their ``__index__``

    def patched(tensor: Any, *scope: Any) -> None:
        original(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    interpreter._patch_lang_tensor = patched  # noqa: SLF001 - as above
    return ["triton.language.tensor.__index__"]


def elementwise_and_or() -> List[str]:
    """Read ``and`` and ``or`` between blocks as Triton's compiler does: element by element.

    The interpreter runs them as Python's own, and then only the last mask counts: causal attention loses its mask in
    kernels that combine it with a sliding window that way (lmdeploy 0.9.2).
    """
    interpreter: Any = importlib.import_module("triton.runtime.interpreter")
    transformer = getattr(interpreter, "ASTTransformer", None)
    if transformer is None:
        return []
    tensor = importlib.import_module("triton.language").tensor

    def combined(word: str, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
        left = first()
        if not is_block(left, tensor):
            done = not left if word == "logical_and" else left
            return left if done else second()
        return getattr(left, word)(second())

    def visit(self: Any, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        word = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
        made: ast.expr = node.values[0]
        for value in node.values[1:]:
            parts = [ast.Constant(word), late_expression(made), late_expression(value)]
            made = ast.Call(ast.Name(COMBINED, ast.Load()), parts, [])
        return ast.copy_location(made, node)

    setattr(interpreter, COMBINED, combined)  # the interpreter hands its own names to the kernels it rewrites
    assign = transformer.visit_Assign

    def visit_assign(self: Any, node: ast.Assign) -> Any:
        node.value = self.visit(node.value)  # the interpreter's own leaves what is assigned as it is
        return assign(self, node)

    transformer.visit_BoolOp, transformer.visit_Assign = visit, visit_assign
    return ["triton.runtime.interpreter.ASTTransformer.visit_BoolOp"]


def is_block(value: Any, tensor: Any) -> bool:
    """Whether ``value`` is a block of Triton's language, not a scalar."""
    return isinstance(value, tensor) and value.handle.data.size > 1


def late_expression(value: ast.expr) -> ast.expr:
    """The expression as a function without arguments, so that what is not needed is not evaluated."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, value)


def first_is_best(*_arguments: Any, quantiles: Any = None, **_keywords: Any) -> Any:
    """What the autotuner is told of every configuration: times of equal length, so that it takes its first."""
    return 1.0 if quantiles is None else [1.0 for _ in quantiles]


STAND_INS: Dict[str, Callable[[], List[str]]] = {
    "triton-driver": gpu_stand_ins.stand_in_for_triton,
    "torch-cuda": one_multiprocessor,
    "streams": streams,
    "autotuner": autotuner,
    "integers": scalars_as_integers,
    "and-or": elementwise_and_or,
}
"""Each puts itself in place and tells what it replaced. Beside them, kernels' names are looked up late (below)."""


def late_names() -> List[str]:
    """Have kernels look names of Triton's language up when they run; which were bound earlier.

    The interpreter puts its own functions into ``triton.language`` while a kernel runs. Kernels' modules that keep
    ``tl_log2 = tl.log2`` from their import would go on calling the compiler's. Names of the GPU's own function library,
    which the interpreter has not, become the same function of the language.
    """
    language = importlib.import_module("triton.language")
    bound: List[str] = []
    for module_name, module in sorted(sys.modules.items()):
        if not module_name.startswith(KERNELS) or not isinstance(module, ModuleType):
            continue
        for name, value in list(vars(module).items()):
            late = late_function(language, value)
            if late is not None:
                setattr(module, name, late)
                bound.append(f"{module_name[len(KERNELS) + 1 :]}.{name}")
    return bound


def late_function(language: Any, value: Any) -> Any:
    """A function that looks ``value`` up in the language when it is called; None for anything but its builtins."""
    home, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not callable(value) or isinstance(value, type) or not isinstance(home, str) or not isinstance(name, str):
        return None
    if home.endswith(".libdevice"):
        name = {"fast_expf": "exp", "fast_dividef": "fdiv"}.get(name, name)
    elif home not in ("triton.language.core", "triton.language.math"):
        return None
    if not hasattr(language, name):
        return None

    def late(*arguments: Any, **keywords: Any) -> Any:
        return getattr(language, name)(*arguments, **keywords)

    return late

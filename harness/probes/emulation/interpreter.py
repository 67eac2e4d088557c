"""Triton's interpreter, made to read kernels as Triton's compiler does, and to read them fast.

What is replaced is how names, words and numbers of a kernel are read; what it computes stays its own.
"""

from __future__ import annotations

import ast
import importlib
import sys
from types import ModuleType
from typing import Any, Callable, Dict, List, Set

MODULE = "triton.runtime.interpreter"
KERNELS = "lmdeploy.pytorch.kernels"
COMBINED = "harness_combined"
"""Name under which rewritten kernels find the element-wise ``and`` and ``or``."""
INTEGERS_SINCE = (3, 7)
"""The first Triton whose interpreter makes integers of its scalars with every numpy."""
SAME = {"fast_expf": "exp", "fast_dividef": "fdiv"}
"""Functions of the GPU's own library that are another function of the language."""
LIBRARIES = ("triton.language.extra.libdevice", "triton.language.extra.cuda.libdevice")
"""Modules of the GPU's own function library."""


def spare_checks() -> List[str]:
    """Leave out what the interpreter does beside a kernel's arithmetic, which takes two thirds of its time.

    It checks every integer operation for overflow, and puts its own functions into the language again whenever a kernel
    calls another function, where they are already.
    """
    interpreter: Any = importlib.import_module(MODULE)
    object.__setattr__(interpreter.interpreter_builder.options, "sanitize_overflow", False)
    kind = interpreter.InterpretedFunction
    original = kind.__call__
    known: Set[Any] = set()

    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if self.fn in known:
            return self.rewrite()(*arguments, **keywords)
        known.add(self.fn)
        return original(self, *arguments, **keywords)

    kind.__call__ = call
    return [f"{MODULE}.InterpretedFunction.__call__"]


def shapes_once() -> List[str]:
    """Check a block's shape and wrap its sizes once, not at each operation: half of what reading a kernel costs."""
    core: Any = importlib.import_module("triton.language.core")
    of_tensor, of_block = core.tensor.__init__, core.block_type.__init__
    wrapped: Dict[Any, Any] = {}
    checked: Dict[Any, Any] = {}

    def tensor(self: Any, handle: Any, type: Any) -> None:  # noqa: A002 - the language's own name
        name = type.name if type.is_block() else ""
        if name not in wrapped:
            of_tensor(self, handle, type)
            wrapped[name] = self.shape, self.numel
            return
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = wrapped[name]

    def block(self: Any, element_ty: Any, shape: Any) -> None:
        sizes = tuple([getattr(size, "value", size) for size in shape])
        if sizes not in checked:
            of_block(self, element_ty, shape)
            checked[sizes] = self.shape, self.numel, str(self.shape)
            return
        self.element_ty = element_ty
        self.shape, self.numel, told = checked[sizes]
        self.name = f"<{told}, {element_ty}>"

    core.tensor.__init__, core.block_type.__init__ = tensor, block
    return ["triton.language.tensor.__init__", "triton.language.block_type.__init__"]


def scalars_as_integers() -> List[str]:
    """Let Triton's interpreter turn its scalars, which are arrays of one element, into integers.

    From numpy 2.4 on only arrays without dimensions can be; Triton knows since 3.7.
    """
    numbers = importlib.import_module("triton").__version__.split(".")[:2]
    if tuple(map(int, numbers)) >= INTEGERS_SINCE:
        return []
    interpreter: Any = importlib.import_module(MODULE)
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
    interpreter: Any = importlib.import_module(MODULE)
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
    return isinstance(value, tensor) and value.type.is_block() and value.numel.value > 1


def late_expression(value: ast.expr) -> ast.expr:
    """The expression as a function without arguments, so that what is not needed is not evaluated."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, value)


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
        name = SAME.get(name, name)
        if name in COMPUTED:
            return computed(COMPUTED[name])
    elif home not in ("triton.language.core", "triton.language.math"):
        return None
    if not hasattr(language, name):
        return None

    def late(*arguments: Any, **keywords: Any) -> Any:
        return getattr(language, name)(*arguments, **keywords)

    return late


def gpu_library() -> List[str]:
    """Have the GPU's own function library answered by the language, or by numpy, for kernels that look into it."""
    language = importlib.import_module("triton.language")
    replaced: List[str] = []
    for home in LIBRARIES:
        try:
            module = importlib.import_module(home)
        except ImportError:
            continue
        for name in (*COMPUTED, *SAME, *SHARED):
            late = late_function(language, getattr(module, name, None))
            if late is not None:
                setattr(module, name, late)
                replaced.append(f"{home}.{name}")
    return replaced


def computed(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function of the language that computes with numpy."""
    interpreter: Any = importlib.import_module(MODULE)

    def compute(block: Any, **_keywords: Any) -> Any:
        data = function(block.handle.data).astype(block.handle.data.dtype)
        return type(block)(interpreter.TensorHandle(data, block.handle.dtype), block.type)

    return compute


def away_from_zero(values: Any) -> Any:
    """Rounded as a GPU does, halves away from zero."""
    numpy = importlib.import_module("numpy")
    return numpy.copysign(numpy.floor(numpy.abs(values) + 0.5), values)


def of_numpy(name: str) -> Callable[[Any], Any]:
    """Numpy's function of this name, which is imported when it is called."""

    def function(values: Any) -> Any:
        return getattr(importlib.import_module("numpy"), name)(values)

    return function


SHARED = ("exp", "exp2", "log", "log2", "rsqrt", "sqrt", "fma", "abs", "floor")
"""Functions of the GPU's own library that the language has as well."""
COMPUTED: Dict[str, Callable[[Any], Any]] = {
    "tanh": of_numpy("tanh"),
    "log1p": of_numpy("log1p"),
    "round": away_from_zero,
    "rint": of_numpy("rint"),
}
"""Functions of the GPU's own library that the language has not."""

"""Triton's interpreter, with the programs of a grid in step: one pass over a kernel computes all of them.

The interpreter runs a grid's programs one after the other, and reading a kernel costs it far more than computing does.
Here a block has one axis more, in front: a place for each program, or one place where all have the same. What an
operation computes for each program is what the interpreter computes.

Programs that part (an ``if`` or a loop's length that is not the same for all) are taken back, what they stored
included, and run again in groups that agree. Kernels with operations that have no form in step (more than one
atomic, tensor descriptors) run one program after the other, as do those over which anything else goes wrong.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import itertools
import textwrap
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .interpreter import MODULE
from .operations import FORMS, pointed, reduced, scanned
from .programs import PROGRAMS, Parted, Place, chosen, handle, of, tensor

LIBRARIES = ("numpy", "triton.language", MODULE)
MOST = 256
"""Programs in step; more would take more memory than they save time."""
RUN = "harness_run_grid"
"""Name under which the rewritten launcher finds :func:`run_grid`."""


def install() -> List[str]:
    """Put it in place; what was replaced. Nothing is where the interpreter's launcher reads otherwise than expected."""
    of.numpy, of.language, of.interpreter = map(importlib.import_module, LIBRARIES)
    interpreter = of.interpreter
    launcher = rewritten_launcher(interpreter)
    if launcher is None:
        return []
    interpreter.GridExecutor.__call__ = launcher
    for name, form in FORMS.items():
        original = getattr(interpreter.InterpreterBuilder, name, None)
        if original is not None:
            setattr(interpreter.InterpreterBuilder, name, chosen(original, form))
    for kind, apply in ((interpreter.ReduceOps, reduced), (interpreter.ScanOps, scanned)):
        kind.apply = chosen(kind.apply, apply)
    pointer = interpreter.BlockPointerHandle
    pointer.materialize_pointers = chosen(pointer.materialize_pointers, pointed)
    decisions(interpreter)
    loops(interpreter)
    interpreter._get_np_dtype = table_of_types(interpreter._get_np_dtype)  # noqa: SLF001 - made anew at each call
    return [f"{MODULE}.GridExecutor.__call__", f"{MODULE}.InterpreterBuilder"]


def rewritten_launcher(interpreter: Any) -> Any:
    """The interpreter's launcher with its loop over the grid replaced by one call; None where it has no such loop."""
    source = textwrap.dedent(inspect.getsource(interpreter.GridExecutor.__call__))
    tree = ast.parse(source)
    found: List[ast.For] = []

    class Loop(ast.NodeTransformer):
        def visit_For(self, node: ast.For) -> Any:
            if "set_grid_idx" not in ast.dump(node):
                return node
            found.append(node)
            return ast.copy_location(ast.parse(f"{RUN}(self.fn, args, grid)").body[0], node)

    tree = ast.fix_missing_locations(Loop().visit(tree))
    if len(found) != 1:
        return None
    setattr(interpreter, RUN, run_grid)
    names: Dict[str, Any] = {}
    exec(compile(tree, str(interpreter.__file__), "exec"), vars(interpreter), names)  # noqa: S102 - Triton's own source
    return names["__call__"]


def run_grid(kernel: Callable[..., Any], arguments: Dict[str, Any], grid: Sequence[int]) -> None:
    """Run all programs of a grid."""
    places: List[Place] = list(itertools.product(*map(range, grid)))  # type: ignore[arg-type]
    for start in range(0, len(places), MOST):
        run_some(kernel, arguments, places[start : start + MOST])


def run_some(kernel: Callable[..., Any], arguments: Dict[str, Any], places: Sequence[Place]) -> None:
    """Run some programs of the grid, in step where they can."""
    builder = of.interpreter.interpreter_builder
    code = getattr(kernel, "__code__", kernel)
    if len(places) == 1 or code in PROGRAMS.alone:
        for place in places:
            builder.set_grid_idx(*place)
            kernel(**arguments)
        return
    values = tried_in_step(kernel, arguments, places)
    groups: Dict[int, List[Place]] = {}
    for place, value in zip(places, values, strict=bool(values)):
        groups.setdefault(value, []).append(place)
    for group in groups.values():
        run_some(kernel, arguments, group)


def tried_in_step(kernel: Callable[..., Any], arguments: Dict[str, Any], places: Sequence[Place]) -> List[int]:
    """Run programs in step; nothing where all is done, else by what to part them, with what they stored taken back."""
    of.interpreter.interpreter_builder.set_grid_idx(*places[0])
    PROGRAMS.places, PROGRAMS.stored, PROGRAMS.atomic = places, [], False
    values: List[int] = []
    try:
        kernel(**arguments)
    except Exception as error:  # one program after the other shows whether it is the kernel's own
        if isinstance(error, Parted) and not PROGRAMS.atomic:  # else groups would not keep the order of programs
            values = error.values
        else:
            PROGRAMS.alone.add(getattr(kernel, "__code__", kernel))
            values = [0] * len(places)
    finally:
        stored, PROGRAMS.places, PROGRAMS.stored = PROGRAMS.stored, (), []
    if values:
        take_back(stored)
    return values


def take_back(stored: List[Tuple[Any, Any]]) -> None:
    """Put back what was where programs stored, the last first."""
    memory = of.interpreter._interpreter  # noqa: SLF001 - the interpreter's own memory
    for pointers, before in reversed(stored):
        memory.store(pointers, before, of.numpy.ones(pointers.shape, dtype=bool))


def decisions(interpreter: Any) -> None:
    """Where Python asks a tensor for a number or a truth, all programs have to have the same."""
    original = interpreter._patch_lang_tensor  # noqa: SLF001 - where it gives tensors what Python asks for

    def patched(kind: Any, *scope: Any) -> None:
        original(kind, *scope)
        index, truth, turned = kind.__index__, kind.__bool__, kind.T

        def transpose(self: Any) -> Any:
            if not PROGRAMS.in_step:
                return turned.fget(self)
            shape = list(self.type.shape)
            shape[-1], shape[-2] = shape[-2], shape[-1]
            return of.language.core.tensor(
                handle(self.handle.data.swapaxes(-1, -2), self.handle.dtype), of.language.block_type(self.dtype, shape)
            )

        kind.__index__ = lambda self: agreed(self) if PROGRAMS.in_step else index(self)
        kind.__bool__ = lambda self: (
            bool(agreed(self)) if PROGRAMS.in_step and not self.type.is_block() else truth(self)
        )
        kind.T = property(transpose)

    interpreter._patch_lang_tensor = patched  # noqa: SLF001 - as above


def agreed(scalar: Any) -> int:
    """The value that all programs have.

    Raises:
        Parted: they have not the same.
    """
    values = [int(value) for value in scalar.handle.data.reshape(-1)]
    if len(set(values)) > 1:
        raise Parted(values)
    return values[0]


def loops(interpreter: Any) -> None:
    """Loops in which each program has a place of its own are one loop where all make as many steps."""
    original = interpreter._patch_lang_core  # noqa: SLF001 - where it gives the language its loops

    def patched(language: Any, *scope: Any) -> None:
        original(language, *scope)
        alone = language.range

        def choose(first: Any, second: Any = None, step: Any = None, **how: Any) -> Any:
            if PROGRAMS.in_step:
                bounds = (0, first) if second is None else (first, second)
                return steps_in_step(*bounds, 1 if step is None else step)
            return alone(first, second, step, **how)

        language.range = choose

    interpreter._patch_lang_core = patched  # noqa: SLF001 - as above
    # kernels find the interpreter's names before Python's own
    interpreter.range = lambda *bounds: steps_in_step(*bounds) if PROGRAMS.in_step else builtins.range(*bounds)


def steps_in_step(*bounds: Any) -> Any:
    """A loop's places: numbers where all programs have the same, otherwise a scalar with a place for each.

    Raises:
        Parted: not all make as many steps.
    """
    first, last, step = (*((0, *bounds) if len(bounds) == 1 else bounds), 1)[:3]
    tensors = [each for each in (first, last, step) if isinstance(each, of.language.core.tensor)]
    if all(len(set(each.handle.data.reshape(-1).tolist())) == 1 for each in tensors):
        return builtins.range(*(int(each) for each in (first, last, step)))
    starts, ends, strides = of.numpy.broadcast_arrays(*map(numbers, (first, last, step)))
    counts = [len(builtins.range(*map(int, each))) for each in zip(starts, ends, strides, strict=True)]
    if len(set(counts)) > 1:
        raise Parted(counts)
    kind = first.dtype if isinstance(first, of.language.core.tensor) else of.language.int32
    return (tensor(starts + place * strides, kind) for place in builtins.range(counts[0]))


def numbers(value: Any) -> Any:
    """A loop's bound as numbers, one for each program or one for all."""
    tensors = isinstance(value, of.language.core.tensor)
    return value.handle.data.reshape(-1) if tensors else of.numpy.array([int(value)])


def table_of_types(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The interpreter's numpy type for one of the language, looked up once."""
    known: Dict[str, Any] = {}

    def look_up(kind: Any) -> Any:
        name = kind.name if not hasattr(kind, "element_ty") else ""
        if not name:
            return original(kind)
        if name not in known:
            known[name] = original(kind)
        return known[name]

    return look_up

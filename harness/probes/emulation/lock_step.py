"""Triton's interpreter, with the programs of a grid in step: one pass over a kernel computes all of them.

The interpreter runs a grid's programs one after the other, and reading a kernel costs it far more than computing does.
Here a block has one axis more, in front: a place for each program, or one place where all have the same. What an
operation computes for each program is what the interpreter computes.

Programs that part (an ``if`` or a loop's length that is not the same for all) are taken back, what they stored
included, and run again in groups that agree. Kernels with operations that have no form in step (atomics, tensor
descriptors) run one program after the other, as do those over which anything else goes wrong.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import itertools
import textwrap
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Sequence, Set, Tuple

from .interpreter import MODULE

LIBRARIES = ("numpy", "triton.language", MODULE)
MOST = 256
"""Programs in step; more would take more memory than they save time."""
RUN = "harness_run_grid"
"""Name under which the rewritten launcher finds :func:`run_grid`."""
Place = Tuple[int, int, int]


class Parted(Exception):  # noqa: N818 - reads as what happened
    """The programs do not agree on a value; holds each one's."""

    def __init__(self, values: List[int]) -> None:
        super().__init__("programs part")
        self.values = values


class NotInStep(Exception):  # noqa: N818 - reads as what it says of the kernel
    """An operation has no form in step."""


class Programs:
    """Those that are in step now."""

    def __init__(self) -> None:
        self.places: Sequence[Place] = ()
        self.stored: List[Tuple[Any, Any]] = []
        """Pointers and what was there, in the order of storing."""
        self.alone: Set[Any] = set()
        """Code of kernels that run one program after the other."""

    @property
    def in_step(self) -> bool:
        """Whether more than one program is being computed."""
        return bool(self.places)


PROGRAMS = Programs()
of: Any = SimpleNamespace()
"""The libraries, as ``numpy``, ``language`` and ``interpreter``, once :func:`install` has loaded them."""


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
    PROGRAMS.places, PROGRAMS.stored = places, []
    values: List[int] = []
    try:
        kernel(**arguments)
    except Parted as parted:
        values = parted.values
    except Exception:  # one program after the other shows whether it is the kernel's own
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


def chosen(original: Callable[..., Any], form: Callable[..., Any]) -> Callable[..., Any]:
    """The form in step while programs are, the original otherwise."""

    def choose(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if not PROGRAMS.in_step:
            return original(self, *arguments, **keywords)
        return form(original, self, *arguments, **keywords)

    return choose


def handle(data: Any, kind: Any) -> Any:
    """A block of the interpreter."""
    return of.interpreter.TensorHandle(data, kind)


def in_rank(*blocks: Any) -> List[Any]:
    """The blocks' data with as many axes each: a scalar's become the last ones."""
    most = max(block.data.ndim for block in blocks)
    return [block.data.reshape(block.data.shape + (1,) * (most - block.data.ndim)) for block in blocks]


def aligned(count: int) -> Callable[..., Any]:
    """The form of an operation whose first ``count`` arguments are combined element by element."""

    def form(original: Callable[..., Any], self: Any, *arguments: Any) -> Any:
        blocks = arguments[:count]
        ranks = {block.data.ndim for block in blocks}
        if len(ranks) > 1:
            blocks = tuple(handle(data, block.dtype) for data, block in zip(in_rank(*blocks), blocks, strict=True))
        return original(self, *blocks, *arguments[count:])

    return form


def not_in_step(_original: Callable[..., Any], _self: Any, *_arguments: Any, **_keywords: Any) -> Any:
    """The form of an operation that has none."""
    raise NotInStep


def program_id(_original: Any, _self: Any, axis: int) -> Any:
    """Each program has its own."""
    return handle(of.numpy.array([place[axis] for place in PROGRAMS.places], dtype=of.numpy.int32), of.language.int32)


def load(original: Any, self: Any, pointers: Any, mask: Any, other: Any, *how: Any) -> Any:
    """Where all read the same, it is read once."""
    given = [pointers, mask] if other is None else [pointers, mask, other]
    same = of.numpy.broadcast_arrays(*in_rank(*given))
    blocks = [handle(data, block.dtype) for data, block in zip(same, given, strict=True)]
    return original(self, *blocks, *([None] if other is None else []), *how)


def store(_original: Any, _self: Any, pointers: Any, value: Any, mask: Any, *_how: Any) -> None:
    """What was there is kept, to be put back where programs part."""
    memory = of.interpreter._interpreter  # noqa: SLF001 - as above
    places, values, wanted = of.numpy.broadcast_arrays(*in_rank(pointers, value, mask))
    places, values = places[wanted], values[wanted]  # flat, and in the order of programs
    every = of.numpy.ones(places.shape, dtype=bool)
    before = memory.load(places, every, of.numpy.zeros(places.shape, dtype=values.dtype), values.dtype)
    PROGRAMS.stored.append((places, before))
    memory.store(places, values, every)


def reshape(_original: Any, _self: Any, block: Any, shape: Any, *_how: Any) -> Any:
    """The axis in front stays."""
    return handle(block.data.reshape((block.data.shape[0], *shape)), block.dtype.scalar)


def transposed(_original: Any, _self: Any, block: Any, axes: Any) -> Any:
    """The axis in front stays."""
    return handle(of.numpy.transpose(block.data, (0, *(axis + 1 for axis in axes))), block.dtype.scalar)


def dot(original: Any, self: Any, left: Any, right: Any, *others: Any) -> Any:
    """Products of half numbers are summed in float32 as the interpreter does, by a routine made for it."""
    total = others[0]
    if total.data.dtype == of.numpy.float32 and left.data.dtype == right.data.dtype == of.numpy.float16:
        product = of.numpy.matmul(left.data.astype(of.numpy.float32), right.data.astype(of.numpy.float32))
        return handle(product + total.data, total.dtype.scalar)
    return original(self, left, right, *others)


def made_range(original: Any, self: Any, *arguments: Any) -> Any:
    """The same for all."""
    made = original(self, *arguments)
    return handle(made.data[None], made.dtype)


def expanded(_original: Any, _self: Any, block: Any, axis: int) -> Any:
    """The axis in front stays."""
    return handle(of.numpy.expand_dims(block.data, axis + 1), block.dtype.scalar)


def broadcast(_original: Any, _self: Any, block: Any, shape: Any) -> Any:
    """The axis in front stays."""
    return handle(of.numpy.broadcast_to(block.data, (block.data.shape[0], *shape)), block.dtype.scalar)


def splat(_original: Any, _self: Any, first: Any, second: Any) -> Any:
    """A scalar in every place of a block; Triton's versions have the two arguments in either order."""
    scalar, shape = (first, second) if hasattr(first, "data") else (second, first.shape)
    data = scalar.data.reshape((scalar.data.shape[0], *(1 for _ in shape)))
    return handle(of.numpy.broadcast_to(data, (data.shape[0], *shape)), scalar.dtype.scalar)


def unsplat(_original: Any, _self: Any, block: Any) -> Any:
    """The one place of a block."""
    return handle(block.data.reshape(block.data.shape[0], -1)[:, 0], block.dtype.scalar)


def of_as_many(*blocks: Any) -> List[Any]:
    """The blocks' data with a place for each program where any of them has one."""
    most = max(block.data.shape[0] for block in blocks)
    return [of.numpy.broadcast_to(block.data, (most, *block.data.shape[1:])) for block in blocks]


def concatenated(_original: Any, _self: Any, left: Any, right: Any) -> Any:
    """Along the first of the own axes."""
    return handle(of.numpy.concatenate(of_as_many(left, right), axis=1), left.dtype.scalar)


def joined(_original: Any, _self: Any, left: Any, right: Any) -> Any:
    """Along a new last axis."""
    return handle(of.numpy.stack(of_as_many(left, right), axis=-1), left.dtype.scalar)


def gathered(_original: Any, _self: Any, block: Any, indices: Any, axis: int) -> Any:
    """Along an own axis."""
    source, places = of_as_many(block, indices)
    return handle(of.numpy.take_along_axis(source, places, axis=axis + 1), block.dtype.scalar)


def advanced(_original: Any, _self: Any, pointer: Any, offsets: Any) -> Any:
    """The block pointer, moved on."""
    moved = [handle(at.data + by.data, at.dtype) for at, by in zip(pointer.offsets, offsets, strict=True)]
    return type(pointer)(pointer.base, pointer.shape, pointer.strides, moved, pointer.block_shape, pointer.order)


def pointed(_original: Any, self: Any, boundary_check: Any) -> Tuple[Any, Any]:
    """A block pointer's pointers, and which of them are inside."""
    rank = len(self.block_shape)
    size = self.base.get_element_ty().primitive_bitwidth // 8

    def spread(data: Any, axis: int = -1) -> Any:
        return data.reshape([data.shape[0], *(data.shape[1] if at == axis else 1 for at in range(rank))])

    pointers, inside = spread(self.base.data), of.numpy.ones((1, *self.block_shape), dtype=bool)
    for axis, (at, stride) in enumerate(zip(self.offsets, self.strides, strict=True)):
        place = spread(at.data.reshape(-1, 1) + of.numpy.arange(self.block_shape[axis])[None], axis)
        pointers = pointers + (size * place * spread(stride.data)).astype(of.numpy.uint64)
        if axis in boundary_check:
            inside = inside & (place < spread(self.shape[axis].data)) & (place >= 0)
    pointers = of.numpy.broadcast_to(pointers, (pointers.shape[0], *self.block_shape))
    return handle(pointers, self.base.dtype.scalar), handle(inside, of.language.int1)


FORMS: Dict[str, Callable[..., Any]] = {
    "create_get_program_id": program_id,
    "create_masked_load": load,
    "create_masked_store": store,
    "binary_op": aligned(2),
    "create_idiv": aligned(2),
    "create_umulhi": aligned(2),
    "ternary_op": aligned(3),
    "create_fma": aligned(3),
    "create_addptr": aligned(2),
    "create_reshape": reshape,
    "create_trans": transposed,
    "create_dot": dot,
    "create_make_range": made_range,
    "create_expand_dims": expanded,
    "create_broadcast": broadcast,
    "create_splat": splat,
    "create_unsplat": unsplat,
    "create_cat": concatenated,
    "create_join": joined,
    "create_gather": gathered,
    "create_advance": advanced,
    **dict.fromkeys(
        (
            "create_histogram",
            "create_atomic_cas",
            "create_atomic_rmw",
            "create_make_tensor_descriptor",
            "create_print",
        ),
        not_in_step,
    ),
}
"""The interpreter's operations that are not the same with an axis in front."""


def reduced(_original: Any, self: Any, given: Any) -> Any:
    """A reduction over one of a block's own axes, or all of them."""
    blocks = given if isinstance(given, tuple) else (given,)
    rank = len(blocks[0].shape)
    every = self.axis is None
    axis = 1 if every else self.axis % rank + 1
    datas = of_as_many(*(block.handle for block in blocks))
    if every:
        datas = [data.reshape(data.shape[0], -1) for data in datas]
    standard, combine = of.language.standard, self.combine_fn
    values = datas[0]
    if combine == standard._argmin_combine_tie_break_left:  # noqa: SLF001 - as the interpreter tells them apart
        found = [of.numpy.min(values, axis=axis), of.numpy.argmin(values, axis=axis)]
    elif combine == standard._argmax_combine_tie_break_left:  # noqa: SLF001 - as above
        found = [of.numpy.max(values, axis=axis), of.numpy.argmax(values, axis=axis)]
    elif combine == standard._elementwise_max:  # noqa: SLF001 - as above
        found = [of.numpy.nanmax(values, axis=axis)]
    elif combine == standard._elementwise_min:  # noqa: SLF001 - as above
        found = [of.numpy.nanmin(values, axis=axis)]
    elif combine == standard._sum_combine:  # noqa: SLF001 - as above
        found = [of.numpy.sum(values, axis=axis)]
    else:
        found = [steps[-1] for steps in folded(self, datas, axis, blocks)]
    if self.keep_dims:
        found = [
            data.reshape(data.shape[0], *([1] * rank)) if every else of.numpy.expand_dims(data, axis) for data in found
        ]
    kinds = [block.dtype for block in blocks]
    if len(found) > len(kinds):
        kinds.append(of.language.int32)
    made = tuple(tensor(data, kind) for data, kind in zip(found, kinds, strict=True))
    return made if isinstance(given, tuple) else made[0]


def scanned(_original: Any, self: Any, given: Any) -> Any:
    """A scan along one of a block's own axes."""
    standard = of.language.standard
    blocks = given if isinstance(given, tuple) else (given,)
    axis = self.axis % len(blocks[0].shape) + 1
    datas = of_as_many(*(block.handle for block in blocks))
    if self.reverse:
        datas = [of.numpy.flip(data, axis=axis) for data in datas]
    if self.combine_fn == standard._sum_combine:  # noqa: SLF001 - as the interpreter tells them apart
        found = [of.numpy.cumsum(datas[0], axis=axis)]
    elif self.combine_fn == standard._prod_combine:  # noqa: SLF001 - as above
        found = [of.numpy.cumprod(datas[0], axis=axis)]
    else:
        found = [of.numpy.stack(steps, axis=axis) for steps in folded(self, datas, axis, blocks)]
    if self.reverse:
        found = [of.numpy.flip(data, axis=axis) for data in found]
    made = tuple(tensor(data, block.dtype) for data, block in zip(found, blocks, strict=True))
    return made if isinstance(given, tuple) else made[0]


def folded(operation: Any, datas: List[Any], axis: int, blocks: Sequence[Any]) -> List[List[Any]]:
    """What the combining function makes of the first slice, the first two, and so on; for each of the blocks."""
    sofar: List[Any] = []
    steps: List[List[Any]] = [[] for _ in datas]
    for place in range(datas[0].shape[axis]):
        slices = [
            tensor(of.numpy.take(data, place, axis=axis), block.dtype)
            for data, block in zip(datas, blocks, strict=True)
        ]
        if sofar:
            combined = operation.combine_fn.fn(*sofar, *slices)
            slices = list(combined) if isinstance(combined, tuple) else [combined]
        sofar = slices
        for kept, each in zip(steps, sofar, strict=True):
            kept.append(each.handle.data)
    return steps


def tensor(data: Any, kind: Any) -> Any:
    """A tensor of the language whose blocks have the data's axes but for the first."""
    data = data.astype(of.interpreter._get_np_dtype(kind))  # noqa: SLF001 - the interpreter's own table
    shape = list(data.shape[1:])
    return of.language.core.tensor(handle(data, kind.scalar), of.language.block_type(kind, shape) if shape else kind)


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

"""The interpreter's operations that are not the same with an axis for programs in front.

Each takes the interpreter's own operation, the object it is a method of, and its arguments.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

from .programs import PROGRAMS, NotInStep, handle, in_rank, of, of_as_many, tensor


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


def atomic(original: Any, self: Any, how: Any, *arguments: Any) -> Any:
    """Place by place in the order of programs, as where one program runs after the other: if each does it but once.

    Raises:
        NotInStep: they do it again, and the first program's second would come after the last one's first.
    """
    if PROGRAMS.atomic:
        raise NotInStep
    PROGRAMS.atomic = True
    pointers, value, mask, *scope = arguments
    same = of.numpy.broadcast_arrays(*in_rank(pointers, value, mask))
    shape = (len(PROGRAMS.places), *same[0].shape[1:])
    places, values, wanted = (of.numpy.ascontiguousarray(of.numpy.broadcast_to(data, shape)) for data in same)
    memory = of.interpreter._interpreter  # noqa: SLF001 - as above
    kept, every = places[wanted], of.numpy.ones(int(wanted.sum()), dtype=bool)
    before = memory.load(kept, every, of.numpy.zeros(kept.shape, dtype=values.dtype), values.dtype)
    PROGRAMS.stored.append((kept, before))
    kinds = (pointers.dtype, value.dtype, mask.dtype)
    blocks = [handle(data, kind) for data, kind in zip((places, values, wanted), kinds, strict=True)]
    return original(self, how, *blocks, *scope)


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
    "create_atomic_rmw": atomic,
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

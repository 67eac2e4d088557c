"""Programs of a grid in step: what they are, and blocks with an axis for them in front."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Callable, List, Sequence, Set, Tuple

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
        self.atomic = False
        """Whether they have read and changed the same places in turn."""
        self.alone: Set[Any] = set()
        """Code of kernels that run one program after the other."""

    @property
    def in_step(self) -> bool:
        """Whether more than one program is being computed."""
        return bool(self.places)


PROGRAMS = Programs()
of: Any = SimpleNamespace()
"""The libraries, as ``numpy``, ``language`` and ``interpreter``, once :func:`install` has loaded them."""


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


def of_as_many(*blocks: Any) -> List[Any]:
    """The blocks' data with a place for each program where any of them has one."""
    most = max(block.data.shape[0] for block in blocks)
    return [of.numpy.broadcast_to(block.data, (most, *block.data.shape[1:])) for block in blocks]


def tensor(data: Any, kind: Any) -> Any:
    """A tensor of the language whose blocks have the data's axes but for the first."""
    data = data.astype(of.interpreter._get_np_dtype(kind))  # noqa: SLF001 - the interpreter's own table
    shape = list(data.shape[1:])
    return of.language.core.tensor(handle(data, kind.scalar), of.language.block_type(kind, shape) if shape else kind)

"""What a source file says about imports and names, in a form that is small, kept on disk and quick to evaluate.

A file becomes a list of *steps*, in the order in which Python would execute them when the module is imported; what
cannot matter for imports and names is left out. Steps inside functions are kept apart, per function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, Union

READER = 5
"""Raised whenever :mod:`harness.scan.sources.reading` would read a file differently; older readings are made again."""

Json: TypeAlias = Any
Test: TypeAlias = tuple[Any, ...]
"""A condition: ``("typing",)``, ``("not", t)``, ``("and", t, …)``, ``("or", t, …)``, ``("known", bool)``,
``("has", "is_torch_available")``, ``("version", "torch", ">=", "2.4")``, ``("hasattr", "torch", "xpu")`` or
``("unknown",)``."""


@dataclass(frozen=True, slots=True)
class Import:
    """``import a.b as c``."""

    line: int
    module: str
    alias: str | None


@dataclass(frozen=True, slots=True)
class FromImport:
    """``from ..a import b as c``; ``*`` is a name like others."""

    line: int
    level: int
    module: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """``a.b`` of an imported module ``a``; only of code that asks, never kept on disk."""

    line: int
    module: str
    name: str


@dataclass(frozen=True, slots=True)
class ImportSiblings:
    """A loop that imports every module of the package's own folder."""

    line: int


@dataclass(frozen=True, slots=True)
class Bind:
    """Names that exist from here on: functions, classes, assignments."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exports:
    """Names put into ``__all__``, or made public by a decorator that stands for it."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LazyNames:
    """Entries of a table from which a lazy module serves its names."""

    module: str
    names: tuple[str, ...]
    everything: bool
    """All public names of the module rather than the listed ones."""


@dataclass(frozen=True, slots=True)
class LazyModule:
    """The module replaces itself by one that serves names on demand.

    ``scans`` are the folders, relative to the module's own, whose files' ``__all__`` it serves.
    """

    scans: tuple[tuple[str, str], ...]
    """Folder and the prefix of its modules: ``("models", "models")``, ``("", "")``."""
    aliases: tuple[tuple[str, str], ...]
    """Old module names that still work, with the module each stands for."""
    fast_aliases: bool
    """``image_processing_X_fast`` still stands for ``image_processing_X``."""


@dataclass(frozen=True, slots=True)
class NameHook:
    """A module-level ``__getattr__``; it mentions these names, and perhaps serves others."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenNames:
    """The module fills its own namespace in a way that cannot be read off."""


@dataclass(frozen=True, slots=True)
class Raise:
    """``raise X``; ``error`` is empty for a bare ``raise``."""

    line: int
    error: str


@dataclass(frozen=True, slots=True)
class Leave:
    """``return``, ``continue`` or ``break``: what follows in the block is not reached."""


@dataclass(frozen=True, slots=True)
class Handler:
    """An ``except`` clause; no ``catches`` means everything."""

    catches: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Try:
    """``try`` with its clauses; ``with suppress(…)`` is one with an empty clause."""

    line: int
    steps: tuple[Step, ...]
    handlers: tuple[Handler, ...]
    otherwise: tuple[Step, ...]
    finally_: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """``if``."""

    line: int
    test: Test
    steps: tuple[Step, ...]
    otherwise: tuple[Step, ...]


Step: TypeAlias = Union[  # noqa: UP007 - its members name it before it exists
    Import,
    ImportSiblings,
    FromImport,
    Attribute,
    Bind,
    Exports,
    LazyNames,
    LazyModule,
    NameHook,
    OpenNames,
    Raise,
    Leave,
    Try,
    Branch,
]


@dataclass(frozen=True, slots=True)
class Function:
    """What a function does about imports when it is called."""

    name: str
    """Qualified within its module: ``Qwen2VLModel.build_preprocessor``."""
    line: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """One source file."""

    steps: tuple[Step, ...]
    functions: tuple[Function, ...] = ()
    """Only those with imports in them, and only where they were asked for."""
    broken: str | None = None
    """Why the file cannot be parsed."""


_TAGS: dict[str, type] = {
    "i": Import,
    "s": ImportSiblings,
    "f": FromImport,
    "b": Bind,
    "a": Exports,
    "n": LazyNames,
    "l": LazyModule,
    "h": NameHook,
    "o": OpenNames,
    "r": Raise,
    "x": Leave,
    "t": Try,
    "?": Branch,
}
_NAMES = {kind: tag for tag, kind in _TAGS.items()}


def to_json(facts: ModuleFacts) -> Json:
    """A form for the store."""
    functions = [[f.name, f.line, _steps_out(f.steps)] for f in facts.functions]
    return [_steps_out(facts.steps), functions, facts.broken]


def from_json(data: Json) -> ModuleFacts:
    """The inverse of :func:`to_json`."""
    steps, functions, broken = data
    return ModuleFacts(_steps_in(steps), tuple(Function(n, line, _steps_in(s)) for n, line, s in functions), broken)


def _steps_out(steps: tuple[Step, ...]) -> list[Json]:
    return [_step_out(step) for step in steps]


def _step_out(step: Step) -> Json:
    if isinstance(step, Try):
        handlers = [[handler.catches, _steps_out(handler.steps)] for handler in step.handlers]
        return ["t", step.line, _steps_out(step.steps), handlers, _steps_out(step.otherwise), _steps_out(step.finally_)]
    if isinstance(step, Branch):
        return ["?", step.line, step.test, _steps_out(step.steps), _steps_out(step.otherwise)]
    return [_NAMES[type(step)], *(getattr(step, name) for name in type(step).__slots__)]


def _steps_in(data: Json) -> tuple[Step, ...]:
    return tuple(_step_in(row) for row in data)


def _step_in(row: Json) -> Step:
    tag = row[0]
    if tag == "t":
        handlers = tuple(Handler(tuple(catches), _steps_in(steps)) for catches, steps in row[3])
        return Try(row[1], _steps_in(row[2]), handlers, _steps_in(row[4]), _steps_in(row[5]))
    if tag == "?":
        return Branch(row[1], _frozen(row[2]), _steps_in(row[3]), _steps_in(row[4]))
    step: Step = _TAGS[tag](*(_frozen(value) for value in row[1:]))
    return step


def _frozen(value: Json) -> Json:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value

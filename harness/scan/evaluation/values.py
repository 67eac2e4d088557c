"""What a walk through the engine's functions knows about values: little, but enough for configurations and classes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from harness.scan.evaluation.importing import Consumers
    from harness.scan.evaluation.model_classes import ClassRef


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant: text, number, truth value, None, or a tuple of such."""

    value: object


@dataclass(slots=True)
class Object:
    """An object of a provider's class: the model's configuration, a part of it, or its processor."""

    ref: ClassRef
    path: tuple[str, ...] = ()
    """The attributes that lead here from the model's configuration or processor."""
    added: dict[str, Value] = field(default_factory=dict)
    """Attributes the engine itself has set."""
    parts: dict[str, Object] = field(default_factory=dict)
    """Parts that were read, each one object for good."""
    open: bool = False
    """Its class is the engine's own, and not looked into: it may have anything."""


@dataclass(frozen=True, slots=True)
class Table:
    """A dictionary in the configuration, with all the keys that it has."""

    name: str
    """``Gemma3TextConfig.rope_parameters``."""
    module: str
    keys: frozenset[str]
    within: frozenset[str] = frozenset()
    """Keys under each of which there is a dictionary with those keys, one for each kind of layer."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name imported from another package, or an attribute of one: ``AutoConfig.from_pretrained``."""

    module: str
    name: str
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class EngineClass:
    """A class of the engine."""

    module: str
    name: str


@dataclass(slots=True)
class Instance:
    """An object of an engine's class."""

    of: EngineClass
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineFunction:
    """A function of the engine; ``name`` is qualified by its class."""

    module: str
    name: str
    bound: Instance | EngineClass | None = None


Value: TypeAlias = "Constant | Object | Table | Symbol | EngineClass | Instance | EngineFunction | None"
"""None: nothing is known."""

_EMPTY = ast.Module([], [])
_OUTSIDE: WeakKeyDictionary[ast.Module, dict[str, Symbol]] = WeakKeyDictionary()
"""What trees import from other packages; releases that ship the same file share its tree."""

FunctionNode: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"
_DEFINED: WeakKeyDictionary[ast.AST, dict[str, ast.ClassDef | FunctionNode]] = WeakKeyDictionary()
"""The definitions in trees and classes, by name."""


class Sources:
    """Syntax trees of the engine's modules and what their names stand for."""

    def __init__(self, consumers: Consumers) -> None:
        self._consumers = consumers
        self._meanings: dict[tuple[str, str], Value] = {}
        self._lines: dict[EngineClass, list[EngineClass]] = {}

    def tree(self, module: str) -> ast.Module:
        """A module's syntax tree; empty when it is not the engine's or cannot be parsed."""
        release = self._consumers.release(module)
        return _EMPTY if release is None else release.tree(module)

    def lookup(self, module: str, name: str) -> Value:
        """What a name means in a module."""
        key = (module, name)
        if key not in self._meanings:
            self._meanings[key] = self._find(module, name)
        return self._meanings[key]

    def _find(self, module: str, name: str) -> Value:
        own = self._consumers.own(module)
        answer = own.name(module, name) if own is not None else None
        if answer and answer.name:
            node = self.definition(answer.where, answer.name)
            if isinstance(node, ast.ClassDef):
                return EngineClass(answer.where, answer.name)
            if node is not None:
                return EngineFunction(answer.where, answer.name)
            return self._imported(answer.where).get(answer.name)
        return self._imported(module).get(name)

    def definition(self, module: str, name: str) -> ast.ClassDef | FunctionNode | None:
        """The class or function of a qualified name."""
        inside: ast.Module | ast.ClassDef | FunctionNode = self.tree(module)
        node: ast.ClassDef | FunctionNode | None = None
        for part in name.split("."):
            node = _defined(inside).get(part)
            if node is None:
                return None
            inside = node
        return node

    def method(self, owner: EngineClass, name: str, *, above: EngineClass | None = None) -> EngineFunction | None:
        """The function that a method call on a class reaches; ``above``: the bases of this class only."""
        passed = above is None
        for cls in self.line(owner):
            if passed and self.definition(cls.module, f"{cls.name}.{name}") is not None:
                return EngineFunction(cls.module, f"{cls.name}.{name}")
            passed = passed or cls == above
        return None

    def line(self, owner: EngineClass) -> list[EngineClass]:
        """A class and its bases within the engine, nearest first."""
        if owner not in self._lines:
            self._lines[owner] = self._line(owner)
        return self._lines[owner]

    def _line(self, owner: EngineClass) -> list[EngineClass]:
        found: list[EngineClass] = []
        pending = [owner]
        while pending:
            current = pending.pop(0)
            if current in found:
                continue
            found.append(current)
            node = self.definition(current.module, current.name)
            if isinstance(node, ast.ClassDef):
                bases = [self.lookup(current.module, base.id) for base in node.bases if isinstance(base, ast.Name)]
                pending.extend(base for base in bases if isinstance(base, EngineClass))
        return found

    def class_constant(self, owner: EngineClass, name: str) -> Value:
        """A class variable that is a constant."""
        for cls in self.line(owner):
            node = self.definition(cls.module, cls.name)
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                value = _assigned(inner, name)
                if value is not None:
                    return constant(value)
        return None

    def _imported(self, module: str) -> dict[str, Symbol]:
        """Names that a module imports from other packages."""
        tree = self.tree(module)
        if tree not in _OUTSIDE:
            found = _OUTSIDE[tree] = {}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    for alias in node.names:
                        found[alias.asname or alias.name] = Symbol(node.module, alias.name)
        return _OUTSIDE[tree]


def constant(node: ast.expr) -> Value:
    """The constant an expression spells out; None when it does not."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return Constant(tuple(value)) if isinstance(value, list | set | tuple) else Constant(value)


def _defined(node: ast.Module | ast.ClassDef | FunctionNode) -> dict[str, ast.ClassDef | FunctionNode]:
    """The classes and functions of a body by name, the first of each; those in tests and ``try`` too."""
    if node not in _DEFINED:
        found = _DEFINED[node] = {}
        pending = list(reversed(node.body))
        while pending:
            inner = pending.pop()
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(inner.name, inner)
            elif isinstance(inner, ast.If | ast.Try):
                pending.extend(reversed([*inner.body, *inner.orelse]))
    return _DEFINED[node]


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    match node:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
            return value
    return None

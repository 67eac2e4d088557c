"""What somebody's own code asks of packages: its imports, and attributes of the modules that it imports.

Other readers keep what is served; this one keeps what is needed, in the same steps: at import, for type checkers,
behind tests and clauses, and for each function what happens when it is called. Imports relative to the code itself are
left out.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.scan.sources.conditions import UNKNOWN, read_test
from harness.scan.sources.facts import (
    Attribute,
    Branch,
    FromImport,
    Function,
    Handler,
    Import,
    Leave,
    ModuleFacts,
    Raise,
    Step,
    Try,
)
from harness.scan.sources.nodes import is_function
from harness.scan.sources.parsing import parse
from harness.scan.sources.reading import caught, error_name, from_import_of, imported_by_call, imports_of, suppressed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.scan.sources.facts import Test

_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def read_code(source: bytes) -> ModuleFacts:
    """The steps of a file and of its functions."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError) as error:
        return ModuleFacts((), (), f"{type(error).__name__}: {error}")
    reader = _CodeReader(_Modules(tree))
    functions = [
        Function(name, node.lineno, tuple(steps))
        for name, node in _functions(tree, "")
        if (steps := reader.block(node.body))
    ]
    return ModuleFacts(tuple(reader.block(tree.body)), tuple(functions))


@dataclass(frozen=True, slots=True)
class _Chain:
    """``module.name`` as it stands in the code, modules followed as far as they are imported."""

    module: str
    name: str


class _Modules:
    """Which names of a file are modules, and nothing else."""

    def __init__(self, tree: ast.Module) -> None:
        self.late_annotations = False
        self._named: dict[str, set[str]] = {}
        self._imported: set[str] = set()
        other: set[str] = set()
        taken: dict[str, str] = {}
        stores: list[ast.Attribute] = []
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        self._note(alias)
                case ast.ImportFrom(module=module, names=names):
                    other.update(alias.asname or alias.name for alias in names)
                    taken.update({alias.asname or alias.name: f"{module}.{alias.name}" for alias in names})
                    self.late_annotations |= module == "__future__" and "annotations" in {a.name for a in names}
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                    other.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    other.add(name)
                case ast.ExceptHandler(name=str(name)):
                    other.add(name)
                case ast.Attribute(ctx=ast.Store()):
                    stores.append(node)
        for name in other:
            self._named.pop(name, None)
        self._put_in = {dotted for node in stores if (dotted := self.dotted(node) or _under(taken, node)) is not None}

    def attribute(self, node: ast.expr) -> _Chain | None:
        """What an expression takes from an imported module; None when it does not, or takes what the code put there."""
        chain = self._chain(node)
        return None if chain is None or self.puts(chain.module, chain.name) else chain

    def puts(self, module: str, name: str) -> bool:
        """Whether the code itself puts the name into the module."""
        return f"{module}.{name}" in self._put_in

    def dotted(self, node: ast.expr) -> str | None:
        """The module that an expression is."""
        parts = _parts(node)
        if not parts or len(self._named.get(parts[0], ())) != 1:
            return None
        return ".".join([*self._named[parts[0]], *parts[1:]])

    def _note(self, alias: ast.alias) -> None:
        parts = alias.name.split(".")
        self._named.setdefault(alias.asname or parts[0], set()).add(alias.name if alias.asname else parts[0])
        self._imported.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))

    def _chain(self, node: ast.expr) -> _Chain | None:
        dotted = self.dotted(node)
        if dotted is None:
            return None
        parts = dotted.split(".")
        end = next(end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in self._imported)
        return _Chain(".".join(parts[:end]), parts[end]) if end < len(parts) else None


class _CodeReader:
    """Turns statements into steps, at a module's own level and inside functions alike."""

    def __init__(self, modules: _Modules) -> None:
        self._modules = modules

    def block(self, body: Iterable[ast.stmt]) -> list[Step]:
        """The steps of consecutive statements."""
        return [step for statement in body for step in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> Iterator[Step]:  # noqa: C901, PLR0912 - one case per kind
        if not isinstance(node, ast.If):  # whose test decides, and is read with it
            yield from self._header(node)
        match node:
            case ast.Import():
                yield from imports_of(node)
            case ast.ImportFrom(level=0):
                yield from self._from(node)
            case ast.ClassDef(body=body):
                yield from self.block(body)
            case ast.If(test=test, body=body, orelse=otherwise):
                yield from self._expression(test)
                yield self._branch(node.lineno, self._test(test), self.block(body), self.block(otherwise))
            case ast.Try():
                yield self._try(node)
            case ast.With(body=body):
                yield from suppressed(node, tuple(self.block(body)))
            case ast.AsyncWith(body=body):
                yield from self.block(body)
            case ast.For(body=body, orelse=otherwise) | ast.AsyncFor(body=body, orelse=otherwise):
                yield self._branch(node.lineno, UNKNOWN, self.block(body), ())
                yield from self.block(otherwise)
            case ast.While(body=body):
                yield self._branch(node.lineno, UNKNOWN, self.block(body), ())
            case ast.Match(cases=cases):
                for case in cases:
                    yield self._branch(node.lineno, UNKNOWN, self.block(case.body), ())
            case ast.Raise(exc=error):
                yield Raise(node.lineno, error_name(error))
            case ast.Return() | ast.Continue() | ast.Break():
                yield Leave()

    def _from(self, node: ast.ImportFrom) -> Iterator[Step]:
        """A name that the code itself puts into the module is needed only until then, which nobody can tell."""
        step = from_import_of(node)
        names = tuple((name, alias) for name, alias in step.names if not self._modules.puts(step.module, name))
        own = tuple(each for each in step.names if each not in names)
        if names:
            yield replace(step, names=names)
        if own:
            yield self._branch(node.lineno, UNKNOWN, [replace(step, names=own)], ())

    def _try(self, node: ast.Try) -> Try:
        handlers = tuple(Handler(caught(each.type), tuple(self.block(each.body))) for each in node.handlers)
        body, otherwise, last = (tuple(self.block(part)) for part in (node.body, node.orelse, node.finalbody))
        return Try(node.lineno, body, handlers, otherwise, last)

    def _branch(self, line: int, test: Test, body: Iterable[Step], otherwise: Iterable[Step]) -> Branch:
        return Branch(line, test, tuple(body), tuple(otherwise))

    def _test(self, node: ast.expr) -> Test:
        """As other readers read it, and ``hasattr`` of a module besides."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ("not", self._test(operand))
            case ast.Call(func=ast.Name(id="hasattr"), args=[owner, ast.Constant(value=str(name))]):
                module = self._modules.dotted(owner)
                return UNKNOWN if module is None else ("hasattr", module, name)
        return read_test(node)

    def _header(self, node: ast.stmt) -> Iterator[Step]:
        """What a statement evaluates itself, without the statements in it."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                continue
            if self._is_annotation(node, child) and self._modules.late_annotations:
                continue
            yield from self._expression(child)

    @staticmethod
    def _is_annotation(node: ast.stmt, child: ast.AST) -> bool:
        return child in (getattr(node, "annotation", None), getattr(node, "returns", None))

    def _expression(self, node: ast.AST) -> Iterator[Step]:
        match node:
            case ast.Lambda():
                return  # evaluated when it is called
            case ast.arg() if self._modules.late_annotations:
                return
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                yield from self._expression(test)
                parts = (list(self._expression(body)), list(self._expression(otherwise)))
                yield self._branch(node.lineno, self._test(test), *parts)
            case ast.BoolOp(values=[first, *rest]):
                yield from self._expression(first)
                perhaps = [step for value in rest for step in self._expression(value)]
                yield self._branch(node.lineno, UNKNOWN, perhaps, ())
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                yield from self._comprehension(node)
            case ast.Attribute(ctx=ast.Load()) if (chain := self._modules.attribute(node)) is not None:
                yield Attribute(node.lineno, chain.module, chain.name)
            case ast.expr() | ast.keyword() | ast.arguments() | ast.arg() | ast.withitem():
                if isinstance(node, ast.Call):
                    yield from imported_by_call(node, node.lineno)
                for child in ast.iter_child_nodes(node):
                    yield from self._expression(child)

    def _comprehension(self, node: _Comprehension) -> Iterator[Step]:
        first = node.generators[0].iter
        yield from self._expression(first)
        parts: list[ast.AST] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for each in node.generators:
            parts += [*([] if each.iter is first else [each.iter]), *each.ifs]
        perhaps = [step for part in parts for step in self._expression(part)]
        yield self._branch(node.lineno, UNKNOWN, perhaps, ())


def _under(taken: Mapping[str, str], node: ast.Attribute) -> str | None:
    """The dotted name of an attribute of something that was imported with ``from``."""
    parts = _parts(node)
    return ".".join([taken[parts[0]], *parts[1:]]) if parts and parts[0] in taken else None


def _parts(node: ast.expr) -> list[str]:
    """``a``, ``b`` and ``c`` of ``a.b.c``; nothing for anything but a dotted name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function in a tree, under the names of what it stands in."""
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if is_function(child) or isinstance(child, ast.ClassDef):
            inner = f"{prefix}{child.name}."  # type: ignore[attr-defined] # all three have one
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _functions(child, inner)


def roots_of(facts: ModuleFacts) -> set[str]:
    """The top-level modules that a file imports anywhere."""
    return {step.module.partition(".")[0] for steps in _levels(facts) for step in _flat(steps)}


def _levels(facts: ModuleFacts) -> Iterator[Iterable[Step]]:
    yield facts.steps
    yield from (function.steps for function in facts.functions)


def _flat(steps: Iterable[Step]) -> Iterator[Import | FromImport]:
    for step in steps:
        match step:
            case Import() | FromImport():
                yield step
            case Branch():
                yield from _flat((*step.steps, *step.otherwise))
            case Try():
                clauses = (inner for handler in step.handlers for inner in handler.steps)
                yield from _flat((*step.steps, *clauses, *step.otherwise, *step.finally_))

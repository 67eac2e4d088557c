"""Reading a Python source into :class:`~harness.scan.sources.facts.ModuleFacts`, without executing anything."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from harness.scan.sources.conditions import read_test
from harness.scan.sources.facts import (
    Bind,
    Branch,
    Exports,
    FromImport,
    Function,
    Handler,
    Import,
    ImportSiblings,
    LazyModule,
    LazyNames,
    Leave,
    ModuleFacts,
    NameHook,
    OpenNames,
    Raise,
    Step,
    Try,
)
from harness.scan.sources.nodes import is_function, last_name, string_keys, string_pairs, strings, targets
from harness.scan.sources.parsing import parse, parse_around, parse_surface

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TABLES = {"_import_structure", "import_structure"}
_PUBLIC_DECORATORS = {"requires", "export"}
_SIBLING_WALKS = {"walk_packages", "iter_modules"}
_INDENTED_IMPORT = re.compile(rb"[ \t]+(?:[^#]*;\s*|[^#]*:\s*)?(?:import|from)\s")


def read_module(source: bytes, *, functions: bool, cut: bool = False) -> ModuleFacts:
    """What a source says about imports and names.

    Args:
        source: the file's content.
        functions: also what happens inside functions; needed of packages that import, not of those imported from.
        cut: the source is only its surface already.
    """
    importing = _importing(source) if functions else []
    try:
        tree = parse_around(source, importing) if importing else parse(source) if cut else parse_surface(source)
    except (SyntaxError, ValueError) as error:
        return ModuleFacts((), (), f"{type(error).__name__}: {error}")
    reader = _ModuleReader(lazy=b"define_import_structure" in source or b"image_processing_(" in source)
    steps = _completed(reader.block(tree.body), reader.lazy_module)
    return ModuleFacts(_merged(steps), tuple(_functions(tree, importing)) if importing else ())


class _ModuleReader:
    """Turns statements of a module's own level into steps.

    Args:
        lazy: the source mentions what scanning lazy modules are made with, so it is worth looking for.
    """

    def __init__(self, *, lazy: bool = False) -> None:
        self._lazy = lazy
        self._scans: list[tuple[str, str]] = []
        self._aliases: dict[str, str] = {}
        self._fast = False
        self._constants: dict[str, tuple[str, ...]] = {}
        """Strings in each of the module's own tables, which a ``__getattr__`` may look names up in."""

    @property
    def lazy_module(self) -> LazyModule:
        """What the module serves if it replaces itself, as far as was read."""
        return LazyModule(tuple(self._scans), tuple(sorted(self._aliases.items())), self._fast)

    def block(self, body: Iterable[ast.stmt]) -> list[Step]:
        """The steps of consecutive statements."""
        return [step for statement in body for step in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> Iterator[Step]:  # noqa: C901 - one case per kind of statement
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from imports_of(node)
            case ast.FunctionDef(name="__getattr__"):
                yield NameHook(self._served_by(node))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield from self._definition(node, name)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                yield from self._assignment(node)
            case ast.Expr(value=ast.Call() as call):
                yield from self._call(call, node.lineno)
            case ast.If():
                test = read_test(node.test)
                body = () if test == ("typing",) else tuple(self.block(node.body))
                yield Branch(node.lineno, test, body, tuple(self.block(node.orelse)))
            case ast.Try():
                yield self._try(node)
            case ast.With():
                inner = tuple(self.block(node.body))
                yield from suppressed(node, inner)
            case ast.For():
                if _walks_siblings(node):
                    yield ImportSiblings(node.lineno)
                self._note_fast_aliases(node)
                yield Bind(tuple(targets(node.target)))
                yield from self.block(node.body)
            case ast.While():
                yield from self.block(node.body)
            case ast.Raise():
                yield Raise(node.lineno, error_name(node.exc))

    def _definition(self, node: ast.stmt, name: str) -> Iterator[Step]:
        yield Bind((name,))
        decorators = getattr(node, "decorator_list", [])
        if any(last_name(d.func if isinstance(d, ast.Call) else d) in _PUBLIC_DECORATORS for d in decorators):
            yield Exports((name,))
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    yield from imports_of(inner)

    def _assignment(  # noqa: C901 - one case per kind of target
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign
    ) -> Iterator[Step]:
        aims = node.targets if isinstance(node, ast.Assign) else [node.target]
        value = node.value
        if value is None:
            return
        self._note_tables(value)
        for target in aims:
            match target:
                case ast.Name(id="__all__"):
                    yield Exports(tuple(strings(value)))
                case ast.Name(id="__getattr__"):
                    yield NameHook(self._served_by(value))
                case ast.Name(id=name) if name in _TABLES:
                    yield from _table(value)
                case ast.Subscript(value=ast.Name(id=name), slice=key) if name in _TABLES:
                    yield from _table_entry(key, value)
                case ast.Subscript(value=ast.Attribute(value=ast.Name(id="sys"), attr="modules"), slice=key):
                    yield from self._replacement(key, value)
                case ast.Subscript(value=ast.Call(func=ast.Name(id="globals"))):
                    yield OpenNames()
                case ast.Name(id=name) if "ALIAS" in name.upper() and isinstance(value, ast.Dict):
                    self._aliases |= string_pairs(value)
                    yield Bind((name,))
                case _:
                    self._note_constants(target, value)
                    yield Bind(tuple(targets(target)))
        if isinstance(value, ast.Call):
            yield from imported_by_call(value, node.lineno)

    def _replacement(self, key: ast.expr, value: ast.expr) -> Iterator[Step]:
        """``sys.modules[…] = …``: the module itself made lazy, or something that cannot be read off."""
        own = isinstance(key, ast.Name) and key.id == "__name__"
        if own and isinstance(value, ast.Call) and "Lazy" in last_name(value.func):
            for argument in (*value.args, *(keyword.value for keyword in value.keywords)):
                if isinstance(argument, ast.Dict):
                    yield Bind(tuple(string_keys(argument)))
            yield LazyModule((), (), fast_aliases=False)  # what it serves may stand further down
        else:
            yield OpenNames()

    def _call(self, call: ast.Call, line: int) -> Iterator[Step]:
        self._note_tables(call)
        match call.func:
            case ast.Attribute(value=ast.Name(id="__all__"), attr="extend" | "append"):
                yield Exports(tuple(strings(call)))
            case ast.Attribute(value=ast.Subscript(value=ast.Name(id=name), slice=key), attr="extend" | "append") if (
                name in _TABLES
            ):
                yield from _table_entry(key, call.args[0] if call.args else call)
            case ast.Attribute(value=ast.Name(id=name), attr="update") if name in _TABLES and call.args:
                yield from _table(call.args[0])
            case ast.Attribute(value=ast.Call(func=ast.Name(id="globals")), attr="update"):
                yield OpenNames()
            case ast.Name(id=name) if "alias" in name.lower() and len(call.args) == 2:  # noqa: PLR2004 - old, new
                self._note_alias(*call.args)
            case _:
                yield from imported_by_call(call, line)

    def _try(self, node: ast.Try) -> Try:
        handlers = tuple(Handler(caught(h.type), tuple(self.block(h.body))) for h in node.handlers)
        return Try(
            node.lineno,
            tuple(self.block(node.body)),
            handlers,
            tuple(self.block(node.orelse)),
            tuple(self.block(node.finalbody)),
        )

    def _note_tables(self, value: ast.expr) -> None:
        for node in ast.walk(value) if self._lazy else ():
            if isinstance(node, ast.Call) and last_name(node.func) == "define_import_structure":
                folder = next((text for text in strings(node.args[0])), "") if node.args else ""
                prefix = next((text for k in node.keywords if k.arg == "prefix" for text in strings(k.value)), "")
                self._scans.append((folder, prefix))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._note_pattern(node.value)

    def _note_constants(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Dict | ast.List | ast.Set | ast.Tuple):
            self._constants[target.id] = tuple(strings(value))

    def _served_by(self, hook: ast.AST) -> tuple[str, ...]:
        """The names a ``__getattr__`` mentions, directly or through a table of the module."""
        tables = {node.id for node in ast.walk(hook) if isinstance(node, ast.Name)}
        looked_up = (text for table in tables for text in self._constants.get(table, ()))
        return tuple(sorted({text for text in (*strings(hook), *looked_up) if text.isidentifier()}))

    def _note_pattern(self, text: str) -> None:
        if "image_processing_(" in text and text.endswith("_fast"):  # a pattern, not one of the module names
            self._fast = True

    def _note_alias(self, old: ast.expr, new: ast.expr) -> None:
        names = list(strings(old))
        targets = list(strings(new))
        if isinstance(old, ast.JoinedStr) and len(names) == 1 and len(targets) == 1:
            self._aliases[names[0].strip(".")] = targets[0].strip(".")

    def _note_fast_aliases(self, loop: ast.For) -> None:
        texts = set(strings(loop))
        if any(text.endswith("_fast") for text in texts) and any("image_processing_" in text for text in texts):
            self._fast = True


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterator[Step]:
    """The steps of an import statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(node.lineno, alias.name, alias.asname)
    else:
        yield from_import_of(node)


def from_import_of(node: ast.ImportFrom) -> FromImport:
    """The step of a ``from`` import."""
    names = tuple((alias.name, alias.asname or alias.name) for alias in node.names)
    return FromImport(node.lineno, node.level, node.module or "", names)


def caught(kind: ast.expr | None) -> tuple[str, ...]:
    """The names of the exceptions an ``except`` clause catches; none means all of them."""
    if kind is None:
        return ()
    if isinstance(kind, ast.Tuple):
        return tuple(last_name(part) for part in kind.elts)
    return (last_name(kind),)


def error_name(node: ast.expr | None) -> str:
    """The exception a ``raise`` raises; empty when it raises the current one again."""
    return "" if node is None else last_name(node.func if isinstance(node, ast.Call) else node)


def _importing(source: bytes) -> list[int]:
    """The numbers of the lines that import inside something."""
    lines = enumerate(source.split(b"\n"), 1)
    return [number for number, line in lines if b"import" in line and _INDENTED_IMPORT.match(line)]


def _functions(tree: ast.Module, importing: list[int]) -> Iterator[Function]:
    """Functions with imports in them, nested ones under their outer one's name."""
    pending: list[tuple[str, ast.stmt]] = [("", node) for node in tree.body]
    while pending:
        prefix, node = pending.pop(0)
        if not _any_between(importing, node.lineno, node.end_lineno or node.lineno):
            continue
        match node:
            case ast.ClassDef(name=name, body=body):
                pending.extend((f"{prefix}{name}.", inner) for inner in body)
            case ast.FunctionDef(name=name, body=body) | ast.AsyncFunctionDef(name=name, body=body):
                steps = _pruned(_FunctionReader().block(body))
                if steps:
                    yield Function(prefix + name, node.lineno, steps)
                inner_functions = [n for n in ast.walk(node) if n is not node and is_function(n)]
                pending.extend((f"{prefix}{name}.", n) for n in inner_functions if isinstance(n, ast.stmt))
            case ast.If(body=body, orelse=otherwise):
                pending.extend((prefix, inner) for inner in (*body, *otherwise))
            case ast.Try(body=body, orelse=otherwise, handlers=handlers):
                clauses = [inner for handler in handlers for inner in handler.body]
                pending.extend((prefix, inner) for inner in (*body, *otherwise, *clauses))


def _any_between(numbers: list[int], first: int, last: int) -> bool:
    place = bisect_left(numbers, first)
    return place < len(numbers) and numbers[place] <= last


class _FunctionReader(_ModuleReader):
    """The same for the body of a function, where only imports and what decides about them matter."""

    def _statement(self, node: ast.stmt) -> Iterator[Step]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                return
            case ast.Return() | ast.Continue() | ast.Break():
                yield Leave()
            case ast.For() | ast.AsyncFor() | ast.While():
                yield Branch(node.lineno, ("unknown",), tuple(self.block(node.body)), ())
            case ast.AsyncWith(body=body):
                yield from self.block(body)
            case _:
                yield from super()._statement(node)


def _pruned(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Without what no longer matters when there is no import in it."""
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Branch):
            body, otherwise = _pruned(step.steps), _pruned(step.otherwise)
            if body or otherwise:
                kept.append(Branch(step.line, step.test, body, otherwise))
        elif isinstance(step, Try):
            body, otherwise, last = _pruned(step.steps), _pruned(step.otherwise), _pruned(step.finally_)
            handlers = tuple(Handler(h.catches, tuple(h.steps)) for h in step.handlers)
            if body or otherwise or last or any(_pruned(h.steps) for h in handlers):
                kept.append(Try(step.line, body, handlers, otherwise, last))
        elif isinstance(step, Import | FromImport | ImportSiblings | Raise | Leave):
            kept.append(step)
    matters = any(not isinstance(step, Raise | Leave) for step in kept)
    return tuple(kept) if matters else ()


def _completed(steps: Iterable[Step], lazy: LazyModule) -> list[Step]:
    """With what a lazy module serves in place, wherever the module replaces itself."""
    done: list[Step] = []
    for step in steps:
        if isinstance(step, LazyModule):
            done.append(lazy)
        elif isinstance(step, Branch):
            body, otherwise = _completed(step.steps, lazy), _completed(step.otherwise, lazy)
            done.append(Branch(step.line, step.test, tuple(body), tuple(otherwise)))
        else:
            done.append(step)
    return done


def _merged(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Neighbouring bindings in one step."""
    merged: list[Step] = []
    for step in steps:
        last = merged[-1] if merged else None
        if isinstance(step, Bind) and isinstance(last, Bind):
            merged[-1] = Bind((*last.names, *step.names))
        else:
            merged.append(step)
    return tuple(merged)


def _table(value: ast.expr) -> Iterator[Step]:
    if isinstance(value, ast.Dict):
        for key, names in zip(value.keys, value.values, strict=True):
            if key is not None:
                yield from _table_entry(key, names)


def _table_entry(key: ast.expr, names: ast.expr) -> Iterator[Step]:
    """``table["module"] = ["Name"]``; a comprehension over ``dir(module)`` stands for everything in it."""
    for module in strings(key):
        yield LazyNames(module, tuple(strings(names)), isinstance(names, ast.ListComp))


def suppressed(node: ast.With, steps: tuple[Step, ...]) -> Iterator[Step]:
    """``with suppress(ImportError):`` is a ``try`` with an empty clause; other contexts change nothing."""
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and last_name(call.func) == "suppress":
            handler = Handler(tuple(last_name(argument) for argument in call.args), ())
            yield Try(node.lineno, steps, (handler,), (), ())
            return
    yield from steps


def imported_by_call(call: ast.Call, line: int) -> Iterator[Step]:
    """The import that ``import_module("a.b")`` is."""
    if last_name(call.func) == "import_module" and len(call.args) == 1 and isinstance(call.args[0], ast.Constant):
        module = call.args[0].value
        if isinstance(module, str) and not module.startswith("."):
            yield Import(line, module, "")


def _walks_siblings(loop: ast.For) -> bool:
    """``for … in pkgutil.walk_packages(__path__): importlib.import_module(…)``."""
    over = isinstance(loop.iter, ast.Call) and last_name(loop.iter.func) in _SIBLING_WALKS
    return over and any(isinstance(n, ast.Call) and last_name(n.func) == "import_module" for n in ast.walk(loop))

"""Keyword arguments that the engine passes to another package's functions and classes."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.scan.sources.parsing import parse, parse_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.scan.sources.release import Release

_TAKES_ANYTHING = frozenset({"from_pretrained", "from_config", "_from_config"})
"""Methods that pass on whatever they are given, in every release: most calls, and never refused."""
_CALLS, _SIGNATURES = "calls-2", "signatures-4"
_IMPORTED = rb"\bfrom\s+%s\b[\w.]*\s+import\s+(\([^)]*\)|(?:\\\n|[^\n])*)"


@dataclass(frozen=True, slots=True)
class Call:
    """One call with keywords."""

    module: str
    """What is called was imported from here."""
    name: str
    attribute: str
    """The method called on it; empty when it is called itself."""
    keywords: tuple[str, ...]
    consumer: str
    file: str
    line: int
    function: str

    @property
    def called(self) -> str:
        """``load_state_dict`` or ``AutoConfig.from_pretrained``."""
        return f"{self.name}.{self.attribute}" if self.attribute else self.name


@dataclass(frozen=True, slots=True)
class CallSignature:
    """What a function accepts by name."""

    parameters: frozenset[str]
    anything: bool
    """It takes ``**keywords``."""

    def accepts(self, keyword: str) -> bool:
        """Whether the keyword may be passed."""
        return self.anything or keyword in self.parameters


@dataclass(frozen=True, slots=True)
class CallSignatures:
    """The functions of a source, and the methods of its classes."""

    functions: dict[str, CallSignature]
    methods: dict[str, dict[str, CallSignature]]
    generated: dict[str, frozenset[str] | None]
    """Fields of classes whose constructor is generated from them; None where a decorator may do anything."""


def calls_of(release: Release, provider: str) -> list[Call]:
    """Every call with keywords to a name imported from ``provider``, as far as it could be refused.

    Raises:
        IndexUnavailable: the release's sources cannot be fetched.
    """
    found = []
    kind, read = f"{_CALLS}:{provider}", partial(_read_calls, provider=provider)
    for module in sorted(release.modules):
        for name_module, name, attribute, keywords, line, function in release.reading(module, kind, read):
            if attribute not in _TAKES_ANYTHING:
                place = (module, release.path_of(module), line, function)
                found.append(Call(name_module, name, attribute, tuple(keywords), *place))
    return found


def signatures_of(release: Release, module: str) -> CallSignatures:
    """The signatures in one module.

    Raises:
        IndexUnavailable: its source cannot be fetched.
    """
    data = release.reading(module, _SIGNATURES, _read_signatures)
    return CallSignatures(
        {name: CallSignature(frozenset(p), anything) for name, (p, anything) in data["functions"].items()},
        {
            cls: {name: CallSignature(frozenset(p), anything) for name, (p, anything) in methods.items()}
            for cls, methods in data["methods"].items()
        },
        {cls: None if fields is None else frozenset(fields) for cls, fields in data["generated"].items()},
    )


def _read_calls(source: bytes, *, provider: str) -> list[Any]:
    if not _may_call(source, provider):
        return []  # most files, and parsing is what takes time
    try:
        tree = parse(source)
    except (SyntaxError, ValueError):
        return []
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == provider
        for alias in node.names
    }
    if not imported:
        return []
    return [
        [*imported[name], attribute, keywords, line, function]
        for name, attribute, keywords, line, function in _calls(tree, "")
        if name in imported and keywords
    ]


def _may_call(source: bytes, provider: str) -> bool:
    """Whether a name that the source imports from ``provider`` is followed by an argument list somewhere."""
    names: set[bytes] = set()
    for match in re.finditer(_IMPORTED % re.escape(provider.encode()), source):
        names.update(re.findall(rb"(\w+)\s*(?:,|#|\)|;|$)", match[1].replace(b"\\\n", b" "), re.MULTILINE))
    return bool(names) and re.search(rb"\b(?:%s)\s*(?:\.\s*\w+\s*)?\(" % b"|".join(sorted(names)), source) is not None


def _calls(node: ast.AST, function: str) -> Iterator[tuple[str, str, list[str], int, str]]:
    for inner in ast.iter_child_nodes(node):
        name = function
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{function}.{inner.name}" if function else inner.name
        if isinstance(inner, ast.Call):
            keywords = [keyword.arg for keyword in inner.keywords if keyword.arg is not None]
            match inner.func:
                case ast.Name(id=called):
                    yield called, "", keywords, inner.lineno, function
                case ast.Attribute(value=ast.Name(id=called), attr=attribute):
                    yield called, attribute, keywords, inner.lineno, function
        yield from _calls(inner, name)


def _read_signatures(source: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"functions": {}, "methods": {}, "generated": {}}
    try:
        tree = parse_headers(source)
    except (SyntaxError, ValueError):
        return found
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found["functions"][node.name] = _signature(node)
        elif isinstance(node, ast.ClassDef):
            methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
            found["methods"][node.name] = {method.name: _signature(method) for method in methods}
            if node.decorator_list and "__init__" not in found["methods"][node.name]:
                fields = [_field(inner) for inner in node.body]
                plain = all(_is_dataclass(decorator) for decorator in node.decorator_list)
                found["generated"][node.name] = [name for name in fields if name] if plain else None
    return found


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[list[str], bool]:
    arguments = node.args
    names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    decorated = any(not _harmless(decorator) for decorator in node.decorator_list)
    return names, arguments.kwarg is not None or decorated


def _field(node: ast.stmt) -> str:
    return node.target.id if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else ""


def _is_dataclass(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).split("(")[0] in {"dataclass", "dataclasses.dataclass"}


def _harmless(decorator: ast.expr) -> bool:
    """Whether a decorator certainly leaves the signature as it is."""
    return isinstance(decorator, ast.Name) and decorator.id in {"classmethod", "staticmethod"}

"""Small readings of syntax trees that several modules need."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def last_name(node: ast.expr) -> str:
    """``c`` of ``a.b.c``; empty for anything but a dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def strings(node: ast.AST) -> Iterator[str]:
    """The texts that stand anywhere in a tree."""
    plain = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    for part in plain:
        for inner in (part,) if isinstance(part, ast.Constant) else ast.walk(part):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.value


def string_keys(node: ast.expr) -> Iterator[str]:
    """The keys of a dictionary that are texts."""
    if isinstance(node, ast.Dict):
        for key in node.keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value


def string_pairs(node: ast.Dict) -> dict[str, str]:
    """The entries of a dictionary whose key and value are texts."""
    pairs = {}
    for key, value in zip(node.keys, node.values, strict=True):
        match key, value:
            case ast.Constant(value=str(old)), ast.Constant(value=str(new)):
                pairs[old] = new
    return pairs


def targets(node: ast.expr) -> Iterator[str]:
    """The names that an assignment to this expression binds."""
    match node:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from targets(part)
        case ast.Starred(value=inner):
            yield from targets(inner)


def is_function(node: ast.AST) -> bool:
    """Whether a node defines a function."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)

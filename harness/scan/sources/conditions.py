"""Conditions in source code that a scan can decide: type checking, versions, and which packages are there."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from harness.scan.sources.nodes import last_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.scan.sources.facts import Test

UNKNOWN: Test = ("unknown",)
_OPERATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_PARSERS = {"parse", "Version", "LooseVersion", "parse_version", "digit_version"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What conditions are decided against: versions of packages, and which optional ones are there."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package (or ``python``) to version; a package that is not here has an unknown version."""
    available: Mapping[str, bool] = field(default_factory=dict)
    """``is_…_available`` to its answer; one that is not here is unknown."""


def read_test(node: ast.expr) -> Test:  # noqa: PLR0911 - one answer per kind of expression
    """The condition an expression states, as far as it can be decided later."""
    match node:
        case ast.Constant(value=value):
            return ("known", bool(value))
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return ("typing",)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ("not", read_test(operand))
        case ast.BoolOp(op=op, values=values):
            return ("and" if isinstance(op, ast.And) else "or", *(read_test(value) for value in values))
        case ast.Call(func=func, args=args):
            return _read_call(last_name(func), args)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _read_comparison(left, _OPERATORS[type(op)], right)
    return UNKNOWN


def decide(test: Test, surroundings: Surroundings) -> bool | None:  # noqa: PLR0911 - one answer per kind of test
    """The condition's value; None when it cannot be told."""
    kind = test[0]
    if kind == "known":
        return bool(test[1])
    if kind == "typing":
        return False
    if kind == "not":
        inner = decide(test[1], surroundings)
        return None if inner is None else not inner
    if kind in ("and", "or"):
        decisive = kind == "or"
        values = [decide(part, surroundings) for part in test[1:]]
        return decisive if decisive in values else None if None in values else not decisive
    if kind == "has":
        return surroundings.available.get(test[1])
    if kind == "version":
        _, package, operator, bound = test
        version = surroundings.versions.get(package)
        return None if version is None else _holds(version, operator, bound)
    return None


@lru_cache(maxsize=4096)
def _holds(version: str, operator: str, bound: str) -> bool | None:
    try:
        left, right = Version(version), Version(bound)
    except InvalidVersion:
        return None
    return {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
        "==": left == right,
        "!=": left != right,
    }[operator]


def _read_call(name: str, args: list[ast.expr]) -> Test:
    if name.startswith("is_") and name.endswith("_available") and not args:
        return ("has", name)
    if name.startswith("is_") and name.endswith("_greater_or_equal") and args and isinstance(args[0], ast.Constant):
        return ("version", name[3 : -len("_greater_or_equal")], ">=", str(args[0].value))
    return UNKNOWN


def _read_comparison(left: ast.expr, operator: str, right: ast.expr) -> Test:
    package, bound = _package_of(left), _bound(right)
    if package is None and bound is None:
        package, bound, operator = _package_of(right), _bound(left), _MIRRORED[operator]
    if package is None or bound is None:
        return UNKNOWN
    return ("version", package, operator, bound)


def _package_of(node: ast.expr) -> str | None:
    """The package whose version an expression is."""
    match node:
        case ast.Attribute(value=ast.Name(id=package), attr="__version__"):
            return package
        case ast.Attribute(value=ast.Name(id="sys"), attr="version_info"):
            return "python"
        case ast.Attribute(value=inner, attr="base_version" | "release"):
            return _package_of(inner)
        case ast.Call(func=func, args=[ast.Constant(value=str(package))]) if last_name(func) == "version":
            return package
        case ast.Call(func=func, args=[inner]) if last_name(func) in _PARSERS:
            return _package_of(inner)
    return None


def _bound(node: ast.expr) -> str | None:
    """The version an expression spells out."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Tuple(elts=parts) if parts and all(isinstance(part, ast.Constant) for part in parts):
            return ".".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
        case ast.Call(func=func, args=[inner]) if last_name(func) in _PARSERS:
            return _bound(inner)
    return None

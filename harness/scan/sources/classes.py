"""What the classes of a source have: attributes, bases, parts, and what becomes of keywords they do not name."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.scan.sources.nodes import string_keys, strings
from harness.scan.sources.parsing import parse_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND = "classes-5"
_MAKERS = {"__init__", "__post_init__"}
_TAKERS = {"convert_rope_params_to_dict"}
"""Methods that the constructor hands its keywords to, and that hand the rest back."""
_HOOKS = {"__getattr__", "__getattribute__"}


class Keywords(StrEnum):
    """What a class does with the keywords of its checkpoint that it does not name."""

    INHERITED = "inherited"
    """It has no constructor of its own."""
    KEPT = "kept"
    """They go on to the base class."""
    MOVED = "moved"
    """Those of a part are taken out and given to the part; the rest goes on."""
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """One class."""

    bases: tuple[str, ...]
    attributes: frozenset[str]
    """Fields, methods, properties, class variables, and what methods set on ``self``."""
    parameters: tuple[str, ...]
    """Parameters of the constructor, or the fields it is generated from."""
    keywords: Keywords
    hook: bool
    """It has a ``__getattr__`` or ``__getattribute__`` of its own."""
    parts: dict[str, str]
    """Attribute to the class of the configuration kept in it."""
    listed: frozenset[str]
    """Strings in class-level lists and the keys of class-level tables: names of parts, attribute maps."""
    taken: frozenset[str]
    """Keywords that the constructor takes out before it hands the rest on."""


def read_classes(source: bytes) -> dict[str, Any]:
    """The classes of a source, their other names, and its tables named ``…_MAPPING_NAMES``, as JSON.

    A source that cannot be parsed has none.
    """
    try:
        tree = parse_classes(source)
    except (SyntaxError, ValueError):
        return {"classes": {}, "tables": {}, "aliases": {}}
    classes = {node.name: _to_json(_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}
    tables: dict[str, dict[str, str]] = {}
    for node in tree.body:
        for name, pairs in _tables(node):
            tables.setdefault(name, {}).update(pairs)
    return {"classes": classes, "tables": tables, "aliases": dict(_aliases(tree))}


def class_from_json(row: list[Any]) -> ClassFacts:
    """The inverse of what :func:`read_classes` writes for one class."""
    bases, attributes, parameters, keywords, hook, parts, listed, taken = row
    return ClassFacts(
        bases=tuple(bases),
        attributes=frozenset(attributes),
        parameters=tuple(parameters),
        keywords=Keywords(keywords),
        hook=hook,
        parts=parts,
        listed=frozenset(listed),
        taken=frozenset(taken),
    )


def _to_json(facts: ClassFacts) -> list[Any]:
    return [
        facts.bases,
        sorted(facts.attributes),
        facts.parameters,
        facts.keywords,
        facts.hook,
        facts.parts,
        sorted(facts.listed),
        sorted(facts.taken),
    ]


def _class(node: ast.ClassDef) -> ClassFacts:
    attributes: set[str] = set()
    listed: set[str] = set()
    parts: dict[str, str] = {}
    fields: list[str] = []
    makers: list[ast.FunctionDef] = []
    takers: list[ast.FunctionDef] = []
    for inner in node.body:
        match inner:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                attributes.add(name)
                attributes.update(_set_on_self(inner))
                if name in _MAKERS and isinstance(inner, ast.FunctionDef):
                    makers.append(inner)
                if name in _TAKERS and isinstance(inner, ast.FunctionDef):
                    takers.append(inner)
            case ast.AnnAssign(target=ast.Name(id=name)):
                attributes.add(name)
                fields.append(name)
            case ast.Assign(targets=targets, value=value):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                attributes.update(names)
                listed.update(strings(value) if isinstance(value, ast.List | ast.Tuple) else string_keys(value))
                if any("sub_config" in name for name in names):
                    parts |= _class_table(value)
    parameters = [argument.arg for maker in makers for argument in _arguments(maker)]
    return ClassFacts(
        bases=tuple(_dotted(base) for base in node.bases),
        attributes=frozenset(attributes),
        parameters=tuple(dict.fromkeys(parameters or fields)),
        keywords=_keywords(makers),
        hook=any(isinstance(inner, ast.FunctionDef) and inner.name in _HOOKS for inner in node.body),
        parts=parts | {k: v for maker in makers for k, v in _parts_made(maker)},
        listed=frozenset(listed),
        taken=frozenset(name for each in (*makers, *takers) for name in _taken_out(each)),
    )


def _taken_out(maker: ast.FunctionDef) -> Iterator[str]:
    """``kwargs.pop("name", …)``, from the keywords that the constructor does not name."""
    rest = maker.args.kwarg
    for node in ast.walk(maker):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="pop"), args=[ast.Constant(value=str(key)), *_]
            ) if rest is not None and name == rest.arg:
                yield key


def _keywords(makers: list[ast.FunctionDef]) -> Keywords:
    if not makers:
        return Keywords.INHERITED
    passed = moved = False
    for node in (inner for maker in makers for inner in ast.walk(maker)):
        if isinstance(node, ast.Call):
            passed = passed or (_is_super_call(node) and any(keyword.arg is None for keyword in node.keywords))
        elif isinstance(node, ast.comprehension | ast.DictComp | ast.For):
            moved = moved or any(_pops_by_name(inner) for inner in ast.walk(node))
    if not passed:
        return Keywords.DROPPED
    return Keywords.MOVED if moved else Keywords.KEPT


def _is_super_call(node: ast.Call) -> bool:
    """``super().__init__(…)`` and its like."""
    match node.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
            return name in _MAKERS
    return False


def _pops_by_name(node: ast.AST) -> bool:
    """``kwargs.pop(key)`` with a key that is not spelled out."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(), attr="pop"), args=[ast.Name(), *_]):
            return True
    return False


def _parts_made(maker: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """``self.vision_config = VisionConfig(…)``."""
    for node in ast.walk(maker):
        match node:
            case ast.Assign(
                targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Call(func=ast.Name(id=made))
            ) if name.endswith("_config") and made.endswith("Config"):
                yield name, made


def _set_on_self(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id="self"), ast.Constant(value=str(name)), _]):
                yield name


def _tables(node: ast.stmt) -> Iterator[tuple[str, dict[str, str]]]:
    """Assignments to, and updates of, tables named ``…_MAPPING_NAMES``, wherever they stand at module level."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.endswith("_MAPPING_NAMES"):
            yield name, _pairs(value)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name.endswith("_MAPPING_NAMES"):
            yield name, _pairs(value)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update"), args=[value, *_])):
            if name.endswith("_MAPPING_NAMES"):
                yield name, _pairs(value)
        case ast.If(body=body, orelse=otherwise):
            for inner in (*body, *otherwise):
                yield from _tables(inner)


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """``OldName = NewName``."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=new)], value=ast.Name(id=old)):
                yield new, old


def _pairs(value: ast.expr) -> dict[str, str]:
    """Key to the first class name of each entry, whether written as pairs or as a dictionary."""
    found: dict[str, str] = {}
    for node in ast.walk(value):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(key)), made]):
                found.setdefault(key, next(strings(made), ""))
            case ast.Dict(keys=keys, values=values):
                for key_node, made in zip(keys, values, strict=True):
                    if isinstance(key_node, ast.Constant) and isinstance(key_node.value, str):
                        found.setdefault(key_node.value, next(strings(made), ""))
    return found


def _class_table(value: ast.expr) -> dict[str, str]:
    """``{"text_config": TextConfig}``, or with a call that is given the class; entries without one are left out."""
    found = {}
    if isinstance(value, ast.Dict):
        for key, made in zip(value.keys, value.values, strict=True):
            name = _class_in(made)
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and name:
                found[key.value] = name
    return found


def _class_in(node: ast.expr) -> str:
    """``TextConfig`` of itself and of ``Spec(config_class=TextConfig)``; empty when no class is named."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Call(args=args, keywords=keywords):
            given = (*args, *(keyword.value for keyword in keywords))
            return next((part.id for part in given if isinstance(part, ast.Name) and part.id.endswith("Config")), "")
    return ""


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    arguments = function.args
    return [a for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if a.arg != "self"]


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{_dotted(inner)}.{name}"
        case ast.Subscript(value=inner):
            return _dotted(inner)
    return ""

"""Whether a release has a dotted name: a module, what is in it, an attribute, a dictionary's entry, an argument."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from harness.scan.evaluation.model_classes import ClassRef, ModelClasses
from harness.scan.evaluation.provider import AVAILABLE, Found, Lookup, Provider
from harness.scan.sources.conditions import Surroundings
from harness.scan.sources.nodes import string_keys
from harness.scan.sources.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.scan.sources.release import Release

_ENTRY = re.compile(r"(?P<name>\w+|\*)\[(?P<key>[\w.]+)\]")
_CALL = re.compile(r"(?P<name>\w+)\((?P<argument>\w+)\)")
_DICTIONARIES = "dictionaries-2"
_SHALLOW, _MOST_MODULES = 2, 400
"""How deep a module lies, and how many there are, where a name's home is looked for in all of them."""
_SHORT = 3
"""Letters of a folder's name that say too little."""


class Names:
    """The names of one release.

    Args:
        release: which.
        root: its top-level module; None: it is called like the package.
    """

    def __init__(self, release: Release, root: str | None = None) -> None:
        self._provider = Provider(release, Surroundings(available=AVAILABLE), root)
        self._model_classes = ModelClasses(self._provider)

    def has(self, name: str) -> bool:
        """Whether the name is there, or may be.

        Raises:
            IndexUnavailable: a source cannot be fetched.
        """
        return self.sees(name) is not False

    def sees(self, name: str) -> bool | None:
        """Whether the name is there; None where the sources do not tell.

        Beside modules and what they hold: ``package.module.Class.field``, ``package.module.TABLE[key]`` (``*[key]``: in
        any table of the module), ``package.module.Class(argument)``, ``package.module.Class.method(argument)``, and
        ``package.module.`` for what must be a module. An attribute counts when its class, or a base of it in the same
        package, names it.

        Raises:
            IndexUnavailable: a source cannot be fetched.
        """
        if name.endswith("."):
            return _sure(self._provider.module(name.removesuffix(".")))
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            module = ".".join(parts[:end])
            if self._provider.module(module):
                return self._in(module, parts[end:])
        return False

    def beside(self, name: str) -> set[str]:
        """The public names of a name's module, and of the modules in a folder that is called like the name begins.

        Raises:
            IndexUnavailable: a source cannot be fetched.
        """
        home, _, last = name.rpartition(".")
        if (call := _CALL.fullmatch(last)) is not None:
            return self._arguments(home, call["name"])
        return self._provider.public(home).union(*map(self._provider.public, self._called_like(last)))

    def home(self, name: str, *, deep: bool) -> str:
        """The dotted name of a class or function of which only the last part is known; empty where it is not found.

        Args:
            name: the last part.
            deep: whether to look into the modules near the root too.

        Raises:
            IndexUnavailable: a source cannot be fetched.
        """
        root = self._provider.root
        for module in (root, *(self._near() if deep else self._called_like(name))):
            if name in self._provider.public(module) and (found := self._provider.definition(module, name)):
                return f"{module}.{name}" if module == root else ".".join(found)
        return ""

    def _called_like(self, name: str) -> Iterator[str]:
        """The modules in folders that are called like the name begins."""
        small = name.replace("_", "").lower()
        for module in self._provider.release.modules:
            folder = module.split(".")[-2:-1]
            if folder and len(folder[0]) > _SHORT and small.startswith(folder[0].replace("_", "")):
                yield module

    def _near(self) -> list[str]:
        root = f"{self._provider.root}."
        near = [
            module
            for module in sorted(self._provider.release.modules)
            if module.startswith(root) and module.count(".") < _SHALLOW + (module.split(".")[1] == "utils")
        ]
        self._provider.release.fetch(near[:_MOST_MODULES])
        return near[:_MOST_MODULES]

    def _takes(self, module: str, name: str, method: str, argument: str) -> bool | None:
        taken = self._model_classes.accepts(module, name, method, argument)
        home = None if method or taken is not None else self._provider.definition(module, name)
        if home is not None and self._model_classes.has(ClassRef(*home), argument, {}) is True:
            return True  # a field, of a class whose constructor a decorator or a foreign base makes
        return taken

    def _arguments(self, home: str, name: str) -> set[str]:
        parts = home.split(".")
        for end in range(len(parts), 0, -1):
            module = ".".join(parts[:end])
            if self._provider.module(module):
                first, *rest = [*parts[end:], name]
                return set(self._model_classes.arguments(module, first, rest[0] if rest else ""))
        return set()

    def _in(self, module: str, rest: Sequence[str]) -> bool | None:
        match rest:
            case []:
                return True
            case [entry] if found := _ENTRY.fullmatch(entry):
                tables = self._provider.release.reading(module, _DICTIONARIES, _dictionaries)
                named = tables.values() if found["name"] == "*" else [tables.get(found["name"], ())]
                return any(found["key"] in keys for keys in named)
            case [*names, call] if found := _CALL.fullmatch(call):
                first, *rest = [*names, found["name"]]
                there = _sure(self._provider.name(module, first))
                return there and self._takes(module, first, "".join(rest[:1]), found["argument"])
            case [name]:
                return _sure(self._provider.name(module, name))
            case [name, attribute]:
                home = self._provider.definition(module, name)
                return home is not None and self._model_classes.has(ClassRef(*home), attribute, {}) is True
        return False


def _sure(answer: Lookup) -> bool | None:
    return None if answer.found is Found.PERHAPS else bool(answer)


def _dictionaries(source: bytes) -> dict[str, list[str]]:
    """The keys of a module's dictionaries that are texts."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                found[name] = list(_keys(value))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update"), args=[value])):
                found[name] = [*found.get(name, ()), *_keys(value)]
    return found


def _keys(node: ast.expr) -> Iterator[str]:
    """The keys of a dictionary that are texts, written in braces or as ``dict(key=value)``."""
    yield from string_keys(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        yield from (keyword.arg for keyword in node.keywords if keyword.arg)

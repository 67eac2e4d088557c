"""Whether a release has a dotted name: a module, a name in it, an attribute of a class, an entry of a dictionary."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from harness.scan.evaluation.model_classes import ClassRef, ModelClasses
from harness.scan.evaluation.provider import AVAILABLE, Provider
from harness.scan.sources.conditions import Surroundings
from harness.scan.sources.nodes import string_keys
from harness.scan.sources.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.scan.sources.release import Release

_ENTRY = re.compile(r"(?P<name>\w+)\[(?P<key>[\w.]+)\]")
_DICTIONARIES = "dictionaries-1"
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
        """Whether the name is there, or may be: ``package.module.Class.field``, ``package.module.TABLE[key]``.

        An attribute counts when its class, or a base of it in the same package, names it.

        Raises:
            IndexUnavailable: a source cannot be fetched.
        """
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
        small = last.replace("_", "").lower()
        found = self._provider.public(home)
        for module in self._provider.release.modules:
            folder = module.split(".")[-2:-1]
            if folder and len(folder[0]) > _SHORT and small.startswith(folder[0].replace("_", "")):
                found |= self._provider.public(module)
        return found

    def _in(self, module: str, rest: Sequence[str]) -> bool:
        match rest:
            case []:
                return True
            case [entry] if found := _ENTRY.fullmatch(entry):
                tables = self._provider.release.reading(module, _DICTIONARIES, _dictionaries)
                return found["key"] in tables.get(found["name"], ())
            case [name]:
                return bool(self._provider.name(module, name))
            case [name, attribute]:
                home = self._provider.definition(module, name)
                return home is not None and self._model_classes.has(ClassRef(*home), attribute, frozenset()) is True
        return False


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
                found[name] = list(string_keys(value))
    return found

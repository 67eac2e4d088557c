"""Which files of a folder export a name: what a lazy module that scans its folder serves.

Such a module reads the ``__all__`` of every file below a folder, and the names under its own ``@requires``
decorator. Here the same is read, from as few files as possible: a name's likely home first, everything only to prove
that a name is nowhere.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from harness.scan.sources.nodes import last_name, strings
from harness.scan.sources.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.scan.sources.release import Release

_KIND = "exports-1"
_FEW = 40
"""A folder of so few files is read whole at once."""
_SKIPPED = ("convert_", "modular_")
_REQUIRED = re.compile(rb"^@(?:\w+\.)?requires\b.*?^(?:class|def)\s+(\w+)", re.DOTALL | re.MULTILINE)
_ALL = re.compile(rb"\n__all__\s*(?::[^=]+)?\+?=\s*")
"""Begins with what the search can leap to; an anchor would be tried at every line."""
ATTACHED = "attached-1"
"""How readings by :func:`read_attached` are called."""


class _Folder:
    """The files below one package that a lazy module may serve from."""

    def __init__(self, release: Release, base: str) -> None:
        prefix = f"{base}."
        self.modules = [
            module
            for module, path in release.modules.items()
            if module.startswith(prefix)
            and not path.endswith("/__init__.py")
            and not path.rpartition("/")[2].startswith(_SKIPPED)
        ]
        self._homes: dict[str, list[str]] = {}
        for module in self.modules:
            home = module[len(prefix) :].split(".")[0].replace("_", "")
            self._homes.setdefault(home, []).append(module)

    def likely(self, name: str) -> list[str]:
        """Where a class of that name probably lives: ``Qwen2VLConfig`` in ``qwen2_vl``."""
        if len(self.modules) <= _FEW:
            return self.modules
        small = name.lower()
        return [module for end in range(2, len(small) + 1) for module in self._homes.get(small[:end], ())]


class Exported:
    """The exports of one release."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._folders: dict[str, _Folder] = {}
        self._known: dict[str, frozenset[str]] = {}
        self._complete: dict[str, dict[str, list[str]]] = {}

    def modules(self, base: str, name: str) -> list[str]:
        """The modules below ``base`` that export ``name``."""
        if base not in self._folders:
            self._folders[base] = _Folder(self._release, base)
        folder = self._folders[base]
        if base not in self._complete:
            likely = folder.likely(name)
            self._read(likely)
            hits = [module for module in likely if name in self._known[module]]
            if hits or len(likely) == len(folder.modules):
                return hits
            self._read(folder.modules)
            table = self._complete[base] = {}
            for module in folder.modules:
                for exported in self._known[module]:
                    table.setdefault(exported, []).append(module)
        return self._complete[base].get(name, [])

    def _read(self, modules: Sequence[str]) -> None:
        release, store = self._release, self._release.archive.store
        wanted = {module: release.content_of(module) or "" for module in modules if module not in self._known}
        kept = store.readings(list(dict.fromkeys(wanted.values())), _KIND)
        fresh = [module for module, content in wanted.items() if content not in kept]
        release.fetch(fresh)
        for module in fresh:
            names = kept[wanted[module]] = sorted(exported_names(release.source(module)))
            store.keep_reading(wanted[module], _KIND, names)
        self._known.update((module, frozenset(kept[content])) for module, content in wanted.items())


def exported_names(source: bytes) -> set[str]:
    """The names in a source's ``__all__``, and those it marks with ``@requires``.

    Only the assignment itself is parsed: the files are many and large.
    """
    names = {match.decode() for match in _REQUIRED.findall(source)} if b"@requires" in source else set()
    source = b"\n" + source
    for match in _ALL.finditer(source):
        names |= set(_list_at(source, match.end()))
    return names


def _list_at(source: bytes, start: int) -> list[str]:
    """The strings of the list or tuple that begins at ``start``."""
    opening = source[start : start + 1]
    closing = {b"[": b"]", b"(": b")"}.get(opening)
    if closing is None:
        return []
    end = source.find(closing, start)
    try:
        value = ast.literal_eval(source[start : end + 1].decode())
    except (ValueError, SyntaxError, UnicodeDecodeError):
        return []  # built from parts; the full reading of a module handles those
    return [name for name in value if isinstance(name, str)]


def read_attached(source: bytes) -> dict[str, list[str]]:
    """Submodule to the names that ``__getattr__, __dir__, __all__ = attach(…, submod_attrs=…)`` serves from it."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError):
        return {}
    tables: dict[str, ast.Dict] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table):
                tables[name] = table
            case ast.Assign(targets=[ast.Tuple()], value=ast.Call() as call) if last_name(call.func).endswith("attach"):
                given = next((each.value for each in call.keywords if each.arg == "submod_attrs"), None)
                served = tables.get(given.id) if isinstance(given, ast.Name) else given
                if isinstance(served, ast.Dict):
                    pairs = zip(served.keys, served.values, strict=True)
                    return {module: list(strings(names)) for key, names in pairs if key for module in strings(key)}
    return {}

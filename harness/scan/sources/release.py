"""One release of a package as the scan sees it: its modules, what their sources say, and its metadata."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.core.errors import HarnessError
from harness.index.archive import COMPILED, Archive, content_key
from harness.index.cache import Store, default_folder
from harness.index.download import IndexUnavailable
from harness.index.files import choose_file
from harness.index.package_index import PackageIndex
from harness.scan.sources.facts import READER, ModuleFacts, OpenNames, from_json, to_json
from harness.scan.sources.parsing import condensed, parse
from harness.scan.sources.reading import read_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from packaging.tags import Tag

    from harness.index.files import IndexFile
    from harness.scan.sources.facts import Json

_PAGE_AGE = timedelta(hours=6)
_INIT = "/__init__.py"
_TREES = 1500
"""Syntax trees kept in memory."""
_MOST = 8000
"""Files whose facts are kept in memory."""
_FACTS = {True: f"facts-{READER}f", False: f"facts-{READER}"}
"""How readings are called, with what happens inside functions and without."""
_SURFACE = f"surface-{READER}"
CONSUMERS = frozenset({"lmdeploy", "transformers-stream-generator", "peft", "qwen-vl-utils", "auto-gptq", "optimum"})
"""Packages whose functions are read too, because they import from others inside them."""


class NoSuchRelease(HarnessError):  # noqa: N818 - says what is wrong with the question
    """The index has no such version of the package, or no file of it that can be read."""


@dataclass(eq=False)
class Release:
    """The files of one version, read on demand."""

    package: str
    version: Version
    archive: Archive
    _store: Store
    _shared: dict[tuple[str, bool], ModuleFacts]
    _trees: dict[str, ast.Module]
    _facts: dict[str, ModuleFacts] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    @cached_property
    def modules(self) -> dict[str, str]:
        """Module name to path, packages under their own name."""
        found = {}
        for path in self.archive.entries:
            if path.endswith(".py"):
                stem = path.removesuffix(_INIT) if path.endswith(_INIT) else path[:-3]
                found[stem.replace("/", ".")] = path
            elif path.endswith(COMPILED):
                folder, _, file = path.rpartition("/")
                found.setdefault(f"{folder}/{file.partition('.')[0]}".strip("/").replace("/", "."), path)
        return found

    @cached_property
    def folders(self) -> frozenset[str]:
        """Packages, those without an ``__init__.py`` included."""
        found: set[str] = set()
        for folder in {path.rpartition("/")[0] for path in self.archive.entries}:
            parts = folder.split("/")
            found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
        return frozenset(found)

    def has(self, module: str) -> bool:
        """Whether there is such a module or package."""
        return module in self.modules or module in self.folders

    def is_package(self, module: str) -> bool:
        """Whether the module is a package, so that a dot at its start means itself."""
        return module in self.folders

    def path_of(self, module: str) -> str:
        """Path of a module's source as installed; its folder when there is no source."""
        return self.modules.get(module, module.replace(".", "/"))

    def content_of(self, module: str) -> str | None:
        """Key of a module's content, equal in every release that ships the same file."""
        path = self.modules.get(module)
        return None if path is None else self.archive.entries[path].content

    def facts(self, module: str) -> ModuleFacts:
        """What a module's source says; nothing for a package without an ``__init__.py``.

        Raises:
            IndexUnavailable: the source cannot be fetched.
        """
        found = self._facts.get(module)
        if found is None:
            found = self._facts[module] = self._read(module)
        return found

    def source(self, module: str) -> bytes:
        """A module's source; empty for a package without an ``__init__.py`` and for a compiled module.

        Raises:
            IndexUnavailable: it cannot be fetched.
        """
        path = self.modules.get(module)
        return b"" if path is None or path.endswith(COMPILED) else self.archive.source(path)

    @property
    def read(self) -> Iterable[str]:
        """The modules whose facts were asked for so far."""
        return self._facts.keys()

    def tree(self, module: str) -> ast.Module:
        """A module's syntax tree, shared with every release that ships the same file; empty if it cannot be parsed.

        Raises:
            IndexUnavailable: the source cannot be fetched.
        """
        content = self.content_of(module) or ""
        if content not in self._trees:
            if len(self._trees) >= _TREES:
                self._trees.clear()  # simple and rare: trees are large and quickly made again
            try:
                self._trees[content] = parse(self.source(module))
            except (SyntaxError, ValueError):
                self._trees[content] = ast.Module([], [])
        return self._trees[content]

    def fetch(self, modules: Iterable[str]) -> None:
        """Bring the sources of these modules into the store together, unless they were read before.

        Raises:
            IndexUnavailable: they cannot be fetched.
        """
        self.archive.fetch(self._sources(modules))

    def look_ahead_for(self, modules: Iterable[str]) -> None:
        """Begin to fetch the sources of these modules.

        Raises:
            IndexUnavailable: the table of contents cannot be fetched.
        """
        self.archive.look_ahead_for(self._sources(modules))

    def _sources(self, modules: Iterable[str]) -> list[str]:
        paths = (self.modules.get(module, "") for module in modules)
        return [path for path in paths if path.endswith(".py")]

    def reading(self, module: str, kind: str, read: Callable[[bytes], Json]) -> Json:
        """What ``read`` makes of a module's source, read once per content and kept; ``kind`` names the reader.

        Raises:
            IndexUnavailable: the source cannot be fetched.
        """
        content = self.content_of(module)
        if content is None or self.modules[module].endswith(COMPILED):
            return read(b"")
        found = self._store.reading(content, kind)
        if found is None:
            found = read(self.source(module))
            self._store.keep_reading(content, kind, found)
        return found

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """What it declares to need, extras left out.

        Raises:
            IndexUnavailable: its metadata cannot be fetched.
        """
        found = []
        for text in self._metadata.get("requires-dist", ()):
            if "extra" in text.partition(";")[2]:
                continue  # hundreds in transformers, and slow to parse
            try:
                found.append(Requirement(text))
            except InvalidRequirement:
                continue  # written before the standard was; no release on record has one that matters
        return tuple(found)

    @cached_property
    def requires_python(self) -> str | None:
        """The range of interpreters it declares."""
        return self.archive.file.requires_python or next(iter(self._metadata.get("requires-python", ())), None)

    @cached_property
    def _metadata(self) -> dict[str, list[str]]:
        """The header fields of its metadata, names in small letters."""
        text = self.archive.metadata().decode("utf-8", "replace")
        fields: dict[str, list[str]] = {}
        for line in text.replace("\r\n", "\n").partition("\n\n")[0].split("\n"):
            name, colon, value = line.partition(":")
            if colon and not name.startswith((" ", "\t")):
                fields.setdefault(name.lower(), []).append(value.strip())
        return fields

    def _read(self, module: str) -> ModuleFacts:
        content = self.content_of(module)
        if content is None:
            return ModuleFacts(())
        if self.modules[module].endswith(COMPILED):
            return ModuleFacts((OpenNames(),))  # what a compiled module binds cannot be read off
        if self.package not in CONSUMERS:
            return self._surface_facts(module, content)
        found = self._known(content, functions=True)
        if found is None:
            found = self._keep(content, read_module(self.source(module), functions=True), functions=True)
        return found

    def _surface_facts(self, module: str, content: str) -> ModuleFacts:
        """Facts of a module that is only imported from, read once for all releases whose surface is the same."""
        key = self._store.reading(content, _SURFACE)
        found = None if key is None else self._known(key, functions=False)
        if found is not None:
            return found
        source = self.source(module)
        surface = condensed(source)
        key = content_key(surface)
        found = self._known(key, functions=False)
        if found is None:
            found = read_module(surface, functions=False, cut=True)
            if found.broken is not None:  # cutting may have broken it
                key, found = content, read_module(source, functions=False)
            self._keep(key, found, functions=False)
        self._store.keep_reading(content, _SURFACE, key)
        return found

    def _known(self, key: str, *, functions: bool) -> ModuleFacts | None:
        found = self._shared.get((key, functions))
        if found is None and (kept := self._store.reading(key, _FACTS[functions])) is not None:
            found = self._shared[key, functions] = from_json(kept)
        return found

    def _keep(self, key: str, found: ModuleFacts, *, functions: bool) -> ModuleFacts:
        self._store.keep_reading(key, _FACTS[functions], to_json(found))
        self._shared[key, functions] = found
        return found


class Library:
    """Every release the scan can read.

    Args:
        cache: folder of the scan's cache; None: the usual one.
        index_url: a simple index instead of the configured one.

    Raises:
        StoreUnusable: the cache folder cannot be used.
    """

    def __init__(self, cache: Path | None = None, *, index_url: str | None = None) -> None:
        self.store = Store(cache or default_folder())
        self.index_url = index_url
        self.index = PackageIndex(self.store.folder / "index", _PAGE_AGE, index_url)
        self._versions: dict[str, list[Version]] = {}
        self._releases: dict[tuple[str, Version], Release] = {}
        self._shared: dict[tuple[str, bool], ModuleFacts] = {}
        self._trees: dict[str, ast.Module] = {}

    def close(self) -> None:
        """Let go of the cache and of connections."""
        self.index.close()
        self.store.close()

    def release(self, package: str, version: Version | str, tags: Sequence[Tag] | None = None) -> Release:
        """One version of a package.

        Raises:
            NoSuchRelease: the index does not have it.
            IndexUnavailable: the index cannot be asked.
        """
        name = canonicalize_name(package)
        number = _version(name, version)
        if (name, number) not in self._releases:
            chosen = choose_file(self.index.files(name, number), tags)
            if chosen is None:
                raise NoSuchRelease(self._unknown(name, number))
            self._releases[name, number] = self._open(name, number, chosen)
        return self._releases[name, number]

    def look_ahead(self, package: str, versions: Iterable[Version]) -> None:
        """Begin to fetch the tables of contents of these releases."""
        for version in versions:
            self.release(package, version).archive.look_ahead()

    def look_ahead_for_metadata(self, releases: Iterable[Release]) -> None:
        """Begin to fetch the metadata of these releases."""
        for release in releases:
            release.archive.look_ahead_for_metadata()

    def forget(self, package: str, version: Version) -> None:
        """Drop a release from memory; its share of the cache on disk stays."""
        self._releases.pop((canonicalize_name(package), version), None)

    def trim(self) -> None:
        """Keep what was read of single files within bounds; it is on disk anyway."""
        if len(self._shared) > _MOST:
            for key in list(self._shared)[: _MOST // 2]:
                del self._shared[key]

    def versions(self, package: str) -> list[Version]:
        """The final releases that are not yanked, oldest first.

        Raises:
            NoSuchRelease: the index has no such package.
            IndexUnavailable: the index cannot be asked.
        """
        if package not in self._versions:
            known = self.index.versions(package)
            if not known:
                raise NoSuchRelease(f"there is no package {package} in the package index")
            self._versions[package] = [version for version in known if not version.is_prerelease]
        return self._versions[package]

    def newest(self, package: str, fitting: Sequence[Requirement] = ()) -> Release | None:
        """The newest version that every requirement on it allows, or None.

        Raises:
            NoSuchRelease: the index has no such package.
            IndexUnavailable: the index cannot be asked.
        """
        name = canonicalize_name(package)
        wanted = [r.specifier for r in fitting if canonicalize_name(r.name) == name]
        for version in reversed(self.versions(name)):
            if all(specifier.contains(version) for specifier in wanted):
                return self.release(name, version)
        return None

    def _open(self, name: str, version: Version, file: IndexFile) -> Release:
        archive = Archive(file, self.index.downloads, self.store)
        return Release(name, version, archive, self.store, self._shared, self._trees)

    def _unknown(self, name: str, version: Version) -> str:
        known = self.index.versions(name)
        if not known:
            return f"there is no package {name} in the package index"
        near = [str(v) for v in known if v.release[:2] == version.release[:2]] or [str(v) for v in known[-5:]]
        return f"{name} {version} is not in the package index; near it: {', '.join(near)}"


def _version(package: str, version: Version | str) -> Version:
    try:
        return version if isinstance(version, Version) else Version(version)
    except InvalidVersion:
        raise NoSuchRelease(f"'{version}' is not a version of {package}; write e.g. 0.11.1") from None


__all__ = ["CONSUMERS", "IndexUnavailable", "Library", "NoSuchRelease", "Release"]

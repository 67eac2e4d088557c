"""Packages on the engine's path that import what nothing installs.

The engine's own undeclared imports are seen like its others. Here the same is told of a package that every boot of the
pytorch engine loads, and that was published without declaring all it imports. Whether something else brings the missing
one along takes the requirements of the whole stack, so that is only asked when one is missing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.importing import Consumers, Importer
from harness.scan.evaluation.metadata import applying, ranges_of, torch_release
from harness.scan.evaluation.provider import Found, Lookup
from harness.scan.sources.conditions import Surroundings, decide
from harness.scan.sources.release import NoSuchRelease

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from packaging.requirements import Requirement
    from packaging.version import Version

    from harness.scan.evaluation.failures import Failure
    from harness.scan.evaluation.outside import Question
    from harness.scan.sources.facts import Test
    from harness.scan.sources.release import Library, Release

_FOLLOWED = {"triton": ("triton", "triton.backends.nvidia.driver", "triton.backends.nvidia.compiler")}
"""Package to the modules that load with it; Triton looks for its drivers by itself."""
_GONE = {"distutils": (3, 12), "imp": (3, 12), "asyncore": (3, 12), "asynchat": (3, 12), "smtpd": (3, 12)}
"""Modules of the standard library, with the interpreter that no longer has them."""
_KIND = "stack-1"


class EngineStack:
    """What an installer puts beside an engine release, as far as that is asked.

    Args:
        library: where releases come from.
        engine: the engine release.
        torch: the torch it gets; None: none.
        python: the interpreter.
    """

    def __init__(self, library: Library, engine: Release, torch: Version | None, python: str) -> None:
        self._library = library
        self._engine = engine
        self._torch = torch
        self._python = python
        self._all: frozenset[str] | None = None

    def undeclared(self) -> list[Failure]:
        """Imports of modules that no package of the stack brings.

        Raises:
            IndexUnavailable: metadata or sources cannot be fetched.
        """
        found: dict[Failure, None] = {}
        for package, modules in _FOLLOWED.items():
            release = self._release(package)
            if release is not None:
                importer = Importer(Consumers({package: release}), self)
                for module in modules:
                    if release.has(module):
                        found.update(dict.fromkeys(importer.load(module).raised))
        return [
            failure
            for failure in found
            if failure.kind is Topic.MODULE and failure.module.partition(".")[0] not in _FOLLOWED  # made while it loads
        ]

    def ask(self, question: Question) -> Hashable:
        """The answer to a question about a module outside the packages that are followed."""
        if question[0] == "test":
            return decide(cast("Test", question[1]), Surroundings({"python": self._python}))
        root = cast("str", question[1]).partition(".")[0]
        if self._in_standard_library(root):
            return Lookup(Found.YES)
        return Lookup(Found.PERHAPS) if self._brings(root) else Lookup(Found.NO, "ModuleNotFoundError")

    def lacks(self, root: str) -> bool:
        """Whether no package of the stack brings a top-level module, as far as packages are named like their modules.

        Raises:
            IndexUnavailable: metadata cannot be fetched.
        """
        return not self._in_standard_library(root) and not self._brings(root)

    def _in_standard_library(self, root: str) -> bool:
        version = tuple(int(part) for part in self._python.split(".")[:2])
        return root in sys.stdlib_module_names and version < _GONE.get(root, (4, 0))

    def _brings(self, root: str) -> bool:
        """Whether a package of the module's name is installed; packages named otherwise than their modules count."""
        name = canonicalize_name(root)
        if not self._library.index.versions(name):
            return True  # some package under another name has it
        return name in self._direct() or name in self._installed()

    def _direct(self) -> set[str]:
        """What the engine and its torch require themselves."""
        required = [*self._requirements(self._engine)]
        if self._torch is not None:
            required += self._requirements(torch_release(self._library, self._torch, self._python))
        for package in _FOLLOWED:
            release = self._release(package)
            required += [] if release is None else self._requirements(release)
        return {canonicalize_name(requirement.name) for requirement in required}

    def _release(self, package: str) -> Release | None:
        """The newest release of a package that the engine and its torch allow."""
        required = [*self._requirements(self._engine)]
        if self._torch is not None:
            required += self._requirements(torch_release(self._library, self._torch, self._python))
        ranges = ranges_of(required)
        if package not in ranges:
            return None
        versions = self._library.versions(package)
        newest = next((version for version in reversed(versions) if ranges[package].contains(version)), None)
        return None if newest is None else torch_release(self._library, newest, self._python, package)

    def _requirements(self, release: Release) -> list[Requirement]:
        return applying(release.requirements, self._python)

    def _installed(self) -> frozenset[str]:
        """Everything that comes along, requirements of requirements included; asked once for an engine release."""
        if self._all is None:
            store = self._library.store
            key = f"{_KIND}:{self._engine.archive.file.filename}:{self._torch}:{self._python}"
            kept = store.listing(key)
            if kept is None:
                kept = sorted(self._closure())
                store.keep_listing(key, kept)
            self._all = frozenset(kept)
        return self._all

    def _closure(self) -> set[str]:
        required = [*self._requirements(self._engine)]
        if self._torch is not None:
            required += self._requirements(torch_release(self._library, self._torch, self._python))
        ranges: dict[str, SpecifierSet] = {}
        pending = self._add(ranges, required)
        while pending:
            self._library.index.look_ahead(pending)
            further: list[Requirement] = []
            releases = [
                release for name in sorted(pending) if (release := self._newest(name, ranges[name])) is not None
            ]
            self._library.look_ahead_for_metadata(releases)
            for release in releases:
                further += self._requirements(release)
            pending = self._add(ranges, further)
        return set(ranges)

    def _newest(self, name: str, specifier: SpecifierSet) -> Release | None:
        try:
            versions = self._library.versions(name)
            fitting = [version for version in versions if specifier.contains(version)] or versions
            return torch_release(self._library, fitting[-1], self._python, name) if fitting else None
        except NoSuchRelease:
            return None

    @staticmethod
    def _add(ranges: dict[str, SpecifierSet], required: Iterable[Requirement]) -> set[str]:
        """Take requirements in; the packages that were not known before."""
        fresh: set[str] = set()
        for requirement in required:
            name = canonicalize_name(requirement.name)
            if name not in ranges:
                fresh.add(name)
            ranges[name] = ranges.get(name, SpecifierSet()) & requirement.specifier
        return fresh

"""What somebody's own code asks of one package, and what a release of that package does not give it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError
from harness.scan.evaluation.importing import Consumers, Flow, Importer
from harness.scan.evaluation.needs import needs_in
from harness.scan.evaluation.provider import AVAILABLE, Found, Lookup, Provider
from harness.scan.sources.code import read_code, roots_of
from harness.scan.sources.conditions import Surroundings, decide

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from harness.scan.evaluation.failures import Failure
    from harness.scan.evaluation.needs import Need
    from harness.scan.evaluation.outside import Outside, Question
    from harness.scan.sources.facts import ModuleFacts
    from harness.scan.sources.release import Release

_NOT_CODE = {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist"}


class NoCode(HarnessError):  # noqa: N818 - says what is wrong with the question
    """There is nothing to read at a path."""


@dataclass(frozen=True)
class Code:
    """Files that ask."""

    name: str
    """A path, or a release."""
    files: Mapping[str, ModuleFacts]
    """By path, in order."""
    own: frozenset[str]
    """Top-level modules that it brings itself."""

    @property
    def unread(self) -> dict[str, str]:
        """Files that cannot be parsed, with the reason."""
        return {path: facts.broken for path, facts in self.files.items() if facts.broken is not None}

    @cached_property
    def roots(self) -> frozenset[str]:
        """The top-level modules that it imports from others, the standard library left out."""
        found = {root for facts in self.files.values() for root in roots_of(facts)}
        return frozenset(root for root in found - self.own if root and root not in sys.stdlib_module_names)

    def needs(self, root: str) -> list[Need]:
        """What it asks of one top-level module, in the order of its files and lines."""
        found = [need for path, facts in self.files.items() for need in needs_in(facts, path, path, root)]
        return sorted(dict.fromkeys(found), key=lambda need: (need.file, need.line))


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a release does not give."""

    at_import: tuple[Failure, ...]
    """An import of the file ends there."""
    when_called: tuple[Failure, ...]
    """A call of the function ends there."""
    behind_a_test: tuple[Failure, ...]
    """Needed only where a test holds that cannot be decided from here."""
    caught: tuple[Failure, ...]
    """A clause catches it."""


def code_at(path: Path) -> Code:
    """The code in a file or a folder.

    Raises:
        NoCode: there is none.
    """
    if path.is_file():
        return Code(str(path), {str(path): read_code(path.read_bytes())}, frozenset())
    files = dict(_files(path))
    if not files:
        raise NoCode(f"{path}: no Python file is there; name a folder of sources or a .py file")
    return Code(path.as_posix(), files, frozenset(_own(path)))


def code_of(release: Release) -> Code:
    """The code of a package from the index.

    Raises:
        IndexUnavailable: its sources cannot be fetched.
    """
    release.fetch(release.modules)
    paths = {path: module for module, path in release.modules.items() if path.endswith(".py")}
    files = {path: read_code(release.source(paths[path])) for path in sorted(paths)}
    return Code(str(release), files, frozenset(module.partition(".")[0] for module in release.modules))


def missing(code: Code, release: Release, root: str) -> tuple[Failure, ...]:
    """What a release certainly does not give: at import, or when a function is called."""
    found = lacking(code, OneRelease(release, root))
    return (*found.at_import, *found.when_called)


def lacking(code: Code, outside: Outside) -> Lacking:
    """What is missing for the code in the world that ``outside`` answers for."""
    importer = Importer(Consumers({}), outside)
    at_import: dict[Failure, None] = {}
    when_called: dict[Failure, None] = {}
    guarded: dict[Failure, None] = {}
    for path, facts in code.files.items():
        flow = Flow()
        importer.run(path, facts.steps, flow)
        at_import |= flow.raised
        guarded |= flow.caught
        for function in facts.functions:
            inner = Flow()
            importer.run(path, function.steps, inner, function.name)
            when_called |= inner.raised
            guarded |= inner.caught
    perhaps = tuple(failure for failure in guarded if failure.guarded == "if")
    return Lacking(tuple(at_import), tuple(when_called), perhaps, tuple(f for f in guarded if f.guarded != "if"))


class OneRelease:
    """Answers for one release of one package; everything else may be there."""

    def __init__(self, release: Release, root: str) -> None:
        known = AVAILABLE | {f"is_{root}_available": True}
        self._surroundings = Surroundings({root: str(release.version), release.package: str(release.version)}, known)
        self._provider = Provider(release, self._surroundings, root)

    def ask(self, question: Question) -> Hashable:
        """The answer to one question."""
        match question:
            case ("test", test):
                return self._decide(test)
            case ("name", str(module), str(name)) if self._has(module):
                return self._provider.name(module, name)
            case ("module", str(module)) if self._has(module):
                return self._provider.module(module)
        return Lookup(Found.PERHAPS)

    def _has(self, module: str) -> bool:
        return module.partition(".")[0] == self._provider.root

    def _decide(self, test: Any) -> bool | None:  # noqa: ANN401 - nested tuples
        match test:
            case ("not", inner):
                value = self._decide(inner)
                return None if value is None else not value
            case ("hasattr", module, name):
                found = self.ask(("name", module, name))
                return None if not isinstance(found, Lookup) or found.found is Found.PERHAPS else bool(found)
        return decide(test, self._surroundings)


def _files(folder: Path) -> Iterator[tuple[str, ModuleFacts]]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_CODE and not name.startswith(".") and not Path(place, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if name.endswith(".py"):
                path = Path(place, name)
                yield path.as_posix(), read_code(path.read_bytes())


def _own(path: Path) -> Iterator[str]:
    """The top-level modules of a folder of sources."""
    if (path / "__init__.py").exists():
        yield path.resolve().name
        return
    for place in (path, path / "src"):
        for entry in place.iterdir() if place.is_dir() else ():
            if entry.suffix == ".py" if entry.is_file() else (entry / "__init__.py").exists():
                yield entry.stem

"""In which versions of a package names can be imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.core.presence import Presence
from harness.scan.evaluation.names import Names
from harness.scan.evaluation.outside import PROVIDER
from harness.scan.sources.release import IndexUnavailable, NoSuchRelease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.scan.sources.release import Library

_KIND = "symbol-5"
_FIRST = Version("0")
OLDEST = {PROVIDER: Version("4.30.0")}
"""The oldest version that is looked at, where that is not the very first."""


class NamesOfReleases:
    """The names of all packages of an index, as the diagnosis asks for them.

    What was answered is kept; a package that the index does not have, and an index that cannot be asked, leave a name
    unknown.
    """

    def __init__(self, library: Library, *, progress: Callable[[str], None] | None = None) -> None:
        self._library = library
        self._progress = progress
        self._known: dict[str, Presence | None] = {}
        self._latest: dict[str, Names | None] = {}
        self.trouble = ""
        """Why the index could not be asked, if it could not."""

    def of(self, name: str) -> Presence | None:
        """In which versions a dotted name is there; None: not known."""
        if name not in self._known:
            self._known[name] = self._ask(name)
        return self._known[name]

    def _ask(self, name: str) -> Presence | None:
        root = name.partition(".")[0]
        if self.trouble or not root.isidentifier() or root in sys.stdlib_module_names:
            return None
        try:
            seen = _seen(self._library, [name, root], progress=self._progress)
            if not any(seen[name].values()) and canonicalize_name(root) in OLDEST:
                seen = _seen(self._library, [name, root], since=_FIRST, progress=self._progress)
        except NoSuchRelease:
            return None
        except IndexUnavailable as error:
            self.trouble = str(error)
            return None
        if not any(seen[root].values()):  # the package is called otherwise than its module
            return None
        if all(answer is None for answer in seen[name].values()):
            return None
        return Presence.of(canonicalize_name(root), _settled(seen[name]))

    def beside(self, name: str) -> set[str]:
        """Names that are near it in the newest release."""
        newest = self._newest(name.partition(".")[0])
        try:
            return newest.beside(name) if newest is not None else set()
        except IndexUnavailable:
            return set()

    def home(self, name: str, packages: Sequence[str], *, deep: bool) -> str:
        """The dotted name of a class or function of which only the last part is known, of the first that has it."""
        for package in packages:
            newest = None if self.trouble else self._newest(package)
            try:
                found = newest.home(name, deep=deep) if newest is not None else ""
            except IndexUnavailable:
                return ""
            if found:
                return found
        return ""

    def _newest(self, root: str) -> Names | None:
        """The names of a package's newest release; None where there is none, or none that can be read."""
        if root not in self._latest:
            try:
                release = self._library.newest(canonicalize_name(root))
            except (NoSuchRelease, IndexUnavailable):
                release = None
            self._latest[root] = None if release is None else Names(release, root)
        return self._latest[root]


def presence_of(
    library: Library,
    names: Iterable[str],
    *,
    package: str | None = None,
    since: Version | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Presence]:
    """Where some names of one package are there.

    Args:
        library: where releases come from.
        names: dotted names: modules, their names, attributes of their classes (``package.module.Class.field``), entries
            of their dictionaries (``package.module.TABLE[key]``), arguments (``package.module.Class(argument)``).
        package: what has them; None: the package that is called like their first part.
        since: the oldest version to look at; None: 4.30.0 for transformers, the very first otherwise.
        progress: told each version as it is looked at.

    Raises:
        NoSuchRelease: the index has no such package.
        IndexUnavailable: the index cannot be asked.
    """
    wanted = list(dict.fromkeys(names))
    seen = _seen(library, wanted, package=package, since=since, progress=progress)
    package = canonicalize_name(package or wanted[0].partition(".")[0])
    return {name: Presence.of(package, _settled(seen[name])) for name in wanted}


def _settled(seen: Mapping[Version, bool | None]) -> dict[Version, bool]:
    """Answers where the sources do not tell: there, where it is before and after, or where no release tells more."""
    if True not in seen.values():
        return {version: answer is None for version, answer in seen.items()}
    answers = list(seen.values())
    settled: dict[Version, bool] = {}
    for place, (version, answer) in enumerate(seen.items()):
        before = next((each for each in reversed(answers[:place]) if each is not None), False)
        after = next((each for each in answers[place:] if each is not None), False)
        settled[version] = (before and after) if answer is None else answer
    return settled


def _seen(
    library: Library,
    wanted: Sequence[str],
    *,
    package: str | None = None,
    since: Version | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[Version, bool | None]]:
    """What each release says of each name, oldest first; None where its sources do not tell."""
    root = wanted[0].partition(".")[0]
    package = canonicalize_name(package or root)
    oldest = since or OLDEST.get(package)
    versions = [version for version in library.versions(package) if oldest is None or version >= oldest]
    place = f"{_KIND}:{package}:{versions[0]}:{len(versions)}:{versions[-1]}:" if versions else ""
    found = {name: kept for name in wanted if (kept := library.store.listing(place + name)) is not None}
    missing = [name for name in wanted if name not in found]
    found |= {name: [] for name in missing}
    for number, version in enumerate(versions if missing else ()):
        library.look_ahead(package, versions[number + 1 : number + 5])
        if progress is not None:
            progress(f"{package} {version}")
        release = Names(library.release(package, version), root)
        for name in missing:
            found[name].append(release.sees(name))
        library.forget(package, version)
    for name in missing:
        library.store.keep_listing(place + name, found[name])
    return {name: dict(zip(versions, found[name], strict=True)) for name in wanted}

"""In which versions of a package a name can be imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.scan.answers.pair import AVAILABLE
from harness.scan.evaluation.provides import Provider
from harness.scan.sources.conditions import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.scan.sources.release import Library

_KIND = "symbol-1"


@dataclass(frozen=True, slots=True)
class SymbolVersions:
    """Where one name can be imported."""

    package: str
    module: str
    name: str
    """Empty when the module itself is meant."""
    looked_at: tuple[Version, ...]
    """Every release that was looked at, oldest first."""
    runs: tuple[tuple[Version, Version], ...]
    """First and last version of each stretch that has it."""

    @property
    def symbol(self) -> str:
        """``transformers.processing_utils.ImagesKwargs``."""
        return f"{self.module}.{self.name}" if self.name else self.module

    def has(self, version: Version) -> bool:
        """Whether a version has it."""
        return any(first <= version <= last for first, last in self.runs)

    def requirements(self) -> list[str]:
        """The stretches as requirements: ``transformers<=4.56.2``; open where the oldest or newest version has it."""
        found = []
        for first, last in self.runs:
            lower = "" if first == self.looked_at[0] else f">={first}"
            upper = "" if last == self.looked_at[-1] else f"<={last}"
            found.append(f"{self.package}{','.join(part for part in (lower, upper) if part)}")
        return found

    def __str__(self) -> str:
        ranges = " or ".join(text.removeprefix(self.package) or "any" for text in self.requirements())
        name = self.name or self.module
        return f"{name}: {self.package} {ranges}" if ranges else f"{name}: in no {self.package}"


def symbol_versions(  # noqa: PLR0913 - what is looked for, and where
    library: Library,
    module: str,
    name: str = "",
    *,
    package: str = "transformers",
    since: Version | None = None,
    progress: Callable[[str], None] | None = None,
) -> SymbolVersions:
    """The versions of ``package`` in which ``from module import name`` works.

    Args:
        library: where releases come from.
        module: the module, in full.
        name: the name in it; empty: whether the module itself is there.
        package: what the module belongs to.
        since: the oldest version to look at; None: 4.30.0 for transformers, the very first otherwise.
        progress: told each version as it is looked at.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    oldest = since if since is not None else Version("4.30.0" if package == "transformers" else "0")
    versions = [version for version in library.versions(package) if version >= oldest]
    key = f"{_KIND}:{package}:{module}:{name}:{oldest}:{len(versions)}:{versions[-1] if versions else ''}"
    kept = library.store.listing(key)
    if kept is None:
        kept = []
        for place, version in enumerate(versions):
            library.look_ahead(package, versions[place + 1 : place + 5])
            if progress is not None:
                progress(f"{package} {version}")
            provider = Provider(library.release(package, version), Surroundings(available=AVAILABLE))
            kept.append(bool(provider.name(module, name) if name else provider.module(module)))
            library.forget(package, version)
        library.store.keep_listing(key, kept)
    return SymbolVersions(package, module, name, tuple(versions), tuple(_runs(versions, kept)))


def _runs(versions: Sequence[Version], there: Sequence[bool]) -> list[tuple[Version, Version]]:
    runs: list[tuple[Version, Version]] = []
    open_ = False
    for version, has in zip(versions, there, strict=True):
        if has:
            runs = [*runs[:-1], (runs[-1][0], version)] if open_ else [*runs, (version, version)]
        open_ = has
    return runs

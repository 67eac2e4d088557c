"""For which versions of a package everything is there that somebody's own code asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from harness.core.presence import Presence
from harness.scan.answers.findings import Prediction
from harness.scan.answers.symbols import OLDEST
from harness.scan.evaluation.code import Code, Lacking, OneRelease, lacking
from harness.scan.evaluation.needs import Guard
from harness.scan.evaluation.outside import Evaluations, module_there, name_there
from harness.scan.sources.release import NoSuchRelease

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.requirements import Requirement
    from packaging.version import Version

    from harness.scan.evaluation.failures import Failure
    from harness.scan.evaluation.needs import Need
    from harness.scan.sources.release import Library

_AHEAD = 6
"""Releases whose tables of contents are fetched before their turn."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One name that the code asks for."""

    need: Need
    there: Presence

    @property
    def how(self) -> str:
        """When it is needed, in one word or two."""
        match self.need.guard:
            case Guard.NONE:
                return f"in {self.need.function}()" if self.need.function else "at import"
            case Guard.TYPING:
                return "for type checkers"
            case Guard.TRY:
                return "caught"
        return "behind a test"


@dataclass(frozen=True, slots=True)
class CodeScan:
    """The answer for one package."""

    code: str
    package: str
    asked: tuple[Asked, ...]
    lacks: dict[Version, Lacking]
    """Every version looked at, oldest first."""

    @property
    def importable(self) -> Presence:
        """The versions under which every file imports what it needs."""
        return Presence.of(self.package, {version: not each.at_import for version, each in self.lacks.items()})

    @property
    def complete(self) -> Presence:
        """The versions under which the functions do too."""
        there = {version: not each.at_import and not each.when_called for version, each in self.lacks.items()}
        return Presence.of(self.package, there)

    @property
    def whatever_holds(self) -> Presence:
        """Those under which nothing is missing behind a test either."""
        perhaps = {version: version in self.complete and not each.behind_a_test for version, each in self.lacks.items()}
        return Presence.of(self.package, perhaps)

    @property
    def verdict(self) -> Prediction:
        """Pass when some version gives everything, with a warning when none does behind every test."""
        if not self.complete.runs:
            return Prediction.FAIL
        return Prediction.PASS if self.whatever_holds.runs else Prediction.WARN

    def to_json(self) -> dict[str, Any]:
        """Plain data; ``prediction`` says that nothing was executed."""
        return {
            "code": self.code,
            "package": self.package,
            "looked_at": [str(version) for version in self.lacks],
            "importable": _runs(self.importable),
            "complete": _runs(self.complete),
            "whatever_holds": _runs(self.whatever_holds),
            "verdict": str(self.verdict),
            "names": [
                {
                    "name": each.need.symbol,
                    "file": each.need.file,
                    "line": each.need.line,
                    "function": each.need.function,
                    "guard": str(each.need.guard),
                    "there": _runs(each.there),
                }
                for each in self.asked
            ],
            "lacks": {
                str(version): {
                    "at_import": [_missing(failure) for failure in each.at_import],
                    "when_called": [_missing(failure) for failure in each.when_called],
                    "behind_a_test": [_missing(failure) for failure in each.behind_a_test],
                    "caught": [_missing(failure) for failure in each.caught],
                }
                for version, each in self.lacks.items()
            },
            "prediction": True,
        }


def scan_code(
    library: Library, code: Code, wanted: Requirement, *, progress: Callable[[str], None] | None = None
) -> CodeScan | None:
    """What the releases of a package give to the code; None when the code imports nothing of it.

    Args:
        library: where releases come from.
        code: the files that ask.
        wanted: the package, and the versions to look at; without a range those since the oldest that is of interest.
        progress: told each version as it is looked at.

    Raises:
        NoSuchRelease: the index has no such package, or no such version.
        IndexUnavailable: the index cannot be asked.
    """
    package = canonicalize_name(wanted.name)
    versions = _versions(library, package, wanted)
    root = _root(library, code, package, versions)
    if root is None:
        return None
    needs = code.needs(root)
    there: dict[Need, dict[Version, bool]] = {need: {} for need in needs}
    lacks: dict[Version, Lacking] = {}
    evaluations = Evaluations(partial(lacking, code))
    for number, version in enumerate(versions):
        library.look_ahead(package, versions[number + 1 : number + _AHEAD])
        if progress is not None:
            progress(f"{package} {version}")
        world = OneRelease(library.release(package, version), root)
        lacks[version] = evaluations.result(world)
        for need in needs:
            found = name_there(world, need.module, need.name) if need.name else module_there(world, need.module)
            there[need][version] = bool(found)
        library.forget(package, version)
        library.trim()
    asked = tuple(Asked(need, Presence.of(package, versions)) for need, versions in there.items())
    return CodeScan(code.name, package, asked, lacks)


def _versions(library: Library, package: str, wanted: Requirement) -> list[Version]:
    exact = [each.version for each in wanted.specifier if each.operator in {"==", "==="}]
    if exact and not exact[0].endswith("*"):
        return [library.release(package, exact[0]).version]
    oldest = None if wanted.specifier else OLDEST.get(package)
    known = [version for version in library.versions(package) if oldest is None or version >= oldest]
    found = list(wanted.specifier.filter(known))
    if not found:
        raise NoSuchRelease(f"no release of {package} is {wanted.specifier}; the newest is {known[-1]}")
    return found


def _root(library: Library, code: Code, package: str, versions: list[Version]) -> str | None:
    """The top-level module of the package that the code imports; modules may be called otherwise than packages."""
    plain = package.replace("-", "_")
    if plain in code.roots:
        return plain
    brought = {module.partition(".")[0] for module in library.release(package, versions[-1]).modules}
    return next(iter(sorted(brought & code.roots)), None)


def _runs(there: Presence) -> list[list[str]]:
    return [[str(first), str(last)] for first, last in there.runs]


def _missing(failure: Failure) -> dict[str, Any]:
    return {
        "name": failure.symbol,
        "file": failure.file,
        "line": failure.line,
        "function": failure.function,
        "error": failure.error,
    }

"""Versions that a matrix names and that do not exist: a mistake in the question, told before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from harness.matrix.engine_source import is_source
from harness.matrix.versions import VersionRule, no_such_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.matrix.problems import Problem
    from harness.matrix.schema import Matrix

_AXES = ("lmdeploy", "transformers")
Place = tuple["str | int", ...]


class EveryRelease(Protocol):
    """Where it is looked up whether a version exists."""

    def every_version(self, package: str) -> Sequence[Version]:
        """All releases, oldest first, yanked ones included."""
        ...


def missing_versions(matrix: Matrix, releases: EveryRelease) -> list[Problem]:
    """A problem for each exact version of the matrix that is no release.

    Raises:
        harness.index.download.IndexUnavailable: the question could not be answered.
    """
    problems = []
    for place, package, version in _named(matrix):
        known = releases.every_version(package)
        if version not in known and Version(version.public) not in known:  # a build may be on an index of its own
            problems.append(matrix.document.problem(place, no_such_version(package, version, known)))
    return problems


def _named(matrix: Matrix) -> Iterator[tuple[Place, str, Version]]:
    """Every exact version, with its place and package; those that come from an index of their own are left to it."""
    parts: list[tuple[Place, object]] = [(("axes",), matrix.axes), ((), matrix)]
    parts += [(("include", number), entry) for number, entry in enumerate(matrix.include)]
    parts += [(("rules", number), rule) for number, rule in enumerate(matrix.rules)]
    for place, part in parts:
        if getattr(part, "index", ()):
            continue
        further = getattr(part, "packages", {})
        axes = {name: ((*place, name), getattr(part, name, ())) for name in _AXES}
        axes |= {name: ((*place, "packages", name), written) for name, written in further.items()}
        for package, (where, written) in axes.items():
            for number, text in enumerate(written):
                exact = None if is_source(text) else VersionRule.parse(text).exact
                if exact is not None:
                    yield (*where, number), package, exact
        for number, text in enumerate(getattr(part, "requirements", ())):
            pinned = _exactly(requirement := Requirement(text))
            if pinned is not None:
                yield (*place, "requirements", number), requirement.name, pinned


def _exactly(requirement: Requirement) -> Version | None:
    """The one version that a requirement allows; None: it allows more, or comes from an address."""
    pins = [each.version for each in requirement.specifier if each.operator == "==" and not each.version.endswith("*")]
    try:
        return Version(pins[0]) if pins and requirement.url is None else None
    except InvalidVersion:
        return None

"""Rules of the matrix made ready to be asked which combinations they speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from packaging.version import Version

from harness.matrix.versions import version_fits, version_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from packaging.specifiers import SpecifierSet

    from harness.engines import Backend, Launch
    from harness.matrix.schema import When

R = TypeVar("R")


class Matchable(Protocol):
    """What a pattern looks at."""

    @property
    def python(self) -> str: ...  # noqa: D102 - the axis of that name
    @property
    def lmdeploy_version(self) -> Version: ...  # noqa: D102 - as above
    @property
    def transformers_version(self) -> Version: ...  # noqa: D102 - as above
    @property
    def backend(self) -> Backend: ...  # noqa: D102 - as above
    @property
    def model(self) -> str: ...  # noqa: D102 - as above
    @property
    def launch(self) -> Launch: ...  # noqa: D102 - as above
    @property
    def as_of(self) -> date | None: ...  # noqa: D102 - as above


class Matcher:
    """A ``when`` with its version patterns parsed."""

    def __init__(self, when: When) -> None:
        self._when = when
        self._dated = "as_of" in when.model_fields_set
        self._python = _Versions(when.python)
        self._lmdeploy = _Versions(when.lmdeploy)
        self._transformers = _Versions(when.transformers)

    def matches(self, point: Matchable) -> bool:
        """Whether every key that the ``when`` gives allows the point."""
        when = self._when
        return (
            (not when.backend or point.backend in when.backend)
            and (not when.model or point.model in when.model)
            and (not when.launch or point.launch in when.launch)
            and (not self._dated or point.as_of == when.as_of)
            and self._python.allow(Version(point.python))
            and self._lmdeploy.allow(point.lmdeploy_version)
            and self._transformers.allow(point.transformers_version)
        )


@dataclass(frozen=True, slots=True)
class Rulebook(Generic[R]):
    """Rules in the order of the file."""

    rules: tuple[tuple[Matcher, R], ...]

    @classmethod
    def of(cls, rules: Iterable[tuple[When, R]]) -> Rulebook[R]:
        """The rules, each with the ``when`` that says what it is about."""
        return cls(tuple((Matcher(when), rule) for when, rule in rules))

    def about(self, point: Matchable) -> list[R]:
        """The rules that match the point."""
        return [rule for matcher, rule in self.rules if matcher.matches(point)]


class _Versions:
    """Patterns of one axis; answers are kept because an axis has few values and a matrix many points."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._patterns: list[SpecifierSet | Version] = [version_pattern(text) for text in texts]
        self._answers: dict[Version, bool] = {}

    def allow(self, version: Version) -> bool:
        if not self._patterns:
            return True
        if version not in self._answers:
            self._answers[version] = any(version_fits(pattern, version) for pattern in self._patterns)
        return self._answers[version]

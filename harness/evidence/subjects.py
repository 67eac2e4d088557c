"""What counts of a model when evidence of one is asked for another."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from harness.core.errors import HarnessError
from harness.matrix.models import HubWeights, RandomWeights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.matrix.models import ModelSpec

TINY = frozenset({"miniature", "random"})
"""Weights that are asked for in place of a published model's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, as far as evidence goes."""

    name: str
    title: str
    architecture: str | None = None
    quantisation: str | None = None
    weights: str | None = None
    """``hub``, ``canary``, ``miniature`` or ``random``."""
    size: str = ""
    """Equal for models of one size; empty: like no other."""
    needs: tuple[tuple[str, str], ...] = ()
    """Packages beyond the engine's own, each with the versions of lmdeploy that it is needed with."""
    gpu_gib: float | None = None
    """A GPU that serves it, by estimate."""
    weights_gib: float | None = None
    hub_id: str | None = None
    known_models: tuple[str, ...] = ()
    """Other models of the same architecture."""

    def stands_in_for(self, other: Subject) -> bool:
        """Whether what is shown with this model says something of the other."""
        return self.name == other.name or (
            self.architecture is not None
            and (self.architecture, self.quantisation) == (other.architecture, other.quantisation)
        )

    def as_large_as(self, other: Subject) -> bool:
        """Whether it takes the memory that the other takes."""
        return self.name == other.name or (self.size != "" and self.size == other.size and self.stands_in_for(other))

    def lacks(self, lmdeploy: str, packages: Mapping[str, str]) -> list[str]:
        """What it needs and a stack does not have; nothing where the stack is not known."""
        missing = [name for name, versions in self.needs if name not in packages and _within(lmdeploy, versions)]
        return missing if packages else []


def _within(version: str, versions: str) -> bool:
    try:
        return SpecifierSet(versions).contains(version, prereleases=True)
    except InvalidVersion:
        return True


def subject_of(spec: ModelSpec) -> Subject:
    """What a spec says."""
    always = [(Requirement(text).name, "") for text in spec.packages]
    sometimes = [(Requirement(each.package).name, each.lmdeploy) for each in spec.engine_packages]
    config = spec.weights.config if isinstance(spec.weights, HubWeights | RandomWeights) else None
    return Subject(
        name=spec.name,
        title=spec.title,
        architecture=spec.architecture,
        quantisation=str(spec.quantisation),
        weights=spec.weights.kind,
        size=f"{config} {spec.quantisation}" if config else "",
        needs=tuple((str(canonicalize_name(name)), versions) for name, versions in [*always, *sometimes]),
        gpu_gib=spec.memory.gpu_gib,
        weights_gib=spec.memory.weights_gib,
        hub_id=spec.weights.hub_id if isinstance(spec.weights, HubWeights) else None,
        known_models=spec.known_models,
    )


def subjects_of(specs: Iterable[ModelSpec]) -> dict[str, Subject]:
    """By name."""
    return {spec.name: subject_of(spec) for spec in specs}


class UnknownSubject(HarnessError, LookupError):  # noqa: N818 - reads as what happened
    """No model goes by that name; the message says which are near."""


def find_subject(name: str, subjects: Mapping[str, Subject]) -> Subject:
    """The model of that name, hub id, or of the architecture of a published model of that name.

    Raises:
        UnknownSubject: there is none.
    """
    if name in subjects:
        return subjects[name]
    wanted = _plain(name)
    named = [each for each in subjects.values() if wanted in {_plain(each.name), _plain(each.hub_id or "")}]
    alike = [each for each in subjects.values() if wanted in {_plain(known) for known in each.known_models}]
    begun = [each for each in subjects.values() if each.name.startswith(name.lower()) and name]
    for found in (named, alike, begun):
        if found:
            return min(found, key=lambda each: (each.weights != "hub", each.name))
    near = difflib.get_close_matches(name, [each.name for each in subjects.values()], n=3, cutoff=0.4)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UnknownSubject(f"there is no model {name!r}{meant} ('harness model list' shows them)")


def _plain(name: str) -> str:
    """Without the owner on the hub, in small letters."""
    return name.rpartition("/")[2].lower()

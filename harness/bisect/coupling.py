"""Which changes cannot be had without which others, from what the packages themselves declare.

A lock between two others breaks requirements all over: the new package wants its new dependency, the old dependency's
other users forbid it. Trying such a stack says nothing. So a change brings along whatever its metadata demands; the
metadata is read from the two environments, where both ends are installed anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.bisect.changes import PackageChange


@dataclass(frozen=True, slots=True)
class Requirements:
    """What each package of a stack requires there: name to the requirements that apply."""

    requirements: Mapping[str, Sequence[Requirement]]


def needs_of(environment: Path, python: str) -> Requirements:
    """What the packages installed in ``environment`` require.

    Args:
        environment: a virtual environment on this machine.
        python: version of its interpreter, ``3.12`` or ``3.12.4``.
    """
    folders = [str(each) for each in environment.glob("lib/python*/site-packages")]
    found = {str(canonicalize_name(each.name)): list(_declared(each)) for each in distributions(path=folders)}
    extras = _extras(each for listed in found.values() for each in listed)
    marks = {name: str(value) for name, value in default_environment().items()} | {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python if python.count(".") > 1 else f"{python}.0",
    }
    return Requirements(
        {
            name: [each for each in listed if _applies(each, {"", *extras.get(name, ())}, marks)]
            for name, listed in found.items()
        }
    )


@dataclass(frozen=True, slots=True)
class Coupling:
    """The changes with what each of them brings along."""

    along: Mapping[str, Mapping[str, str]]
    """PackageChange to the changes that it needs at once, each with the requirement that says so."""

    @classmethod
    def of(cls, changes: Mapping[str, PackageChange], green: Requirements, red: Requirements) -> Coupling:
        """The coupling of ``changes`` as declared at both ends."""
        along: dict[str, dict[str, str]] = {name: {} for name in changes}
        for owner, change in changes.items():
            for need in red.requirements.get(owner, ()):
                target = changes.get(str(canonicalize_name(need.name)))
                if target is not None and not _met(need, target.green) and _met(need, target.red):
                    along[owner].setdefault(target.name, f"{owner} {change.red} requires {_plain(need)}")
        for owner, needs in green.requirements.items():
            if owner not in changes:
                continue  # it stays as it is; both ends are all right with it
            for need in needs:
                target = changes.get(str(canonicalize_name(need.name)))
                if target is not None and _met(need, target.green) and not _met(need, target.red):
                    said = f"{owner} {changes[owner].green} requires {_plain(need)}"
                    along[target.name].setdefault(owner, said)
        return cls(along)

    def closed(self, chosen: Iterable[str]) -> frozenset[str]:
        """The changes with everything they bring along."""
        found: set[str] = set()
        waiting = list(chosen)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.along.get(name, ()))
        return frozenset(found)

    def without(self, chosen: Iterable[str], name: str) -> frozenset[str]:
        """``chosen`` less the change ``name`` and every one that brings it along."""
        return frozenset(each for each in chosen if name not in self.closed([each]))

    def reasons(self, chosen: Iterable[str], cause: str) -> dict[str, str]:
        """Why the other changes of ``chosen`` go along with ``cause``, each with a requirement that says so."""
        members, found, waiting = set(chosen), dict[str, str](), [cause]
        while waiting:
            for name, said in self.along.get(waiting.pop(0), {}).items():
                if name in members and name != cause and name not in found:
                    found[name] = said
                    waiting.append(name)
        return found

    def ordered(self) -> list[str]:
        """The changes, coupled ones next to each other, so that halves cut few couplings."""
        return sorted(self.along, key=lambda name: (len(self.closed([name])), sorted(self.closed([name])), name))


def _declared(distribution: Distribution) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue  # older packages wrote what no installer reads today either


def _extras(requirements: Iterable[Requirement]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in requirements:
        if each.extras:
            found.setdefault(str(canonicalize_name(each.name)), set()).update(each.extras)
    return found


def _applies(requirement: Requirement, extras: set[str], marks: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**marks, "extra": extra}) for extra in extras)


def _met(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"

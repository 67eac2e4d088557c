"""The names that failures lack, and the versions of their package that have them all."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol

from harness.core.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CLASSES = ("class", "processor", "tokenizer", "config", "owner")
_ATTRIBUTES = ("attribute", "symbol", "field")
_ALIKE = 0.85
_FROM_HUB = "transformers_modules"
"""Where transformers keeps Python files that came with checkpoints: no package has them."""
_HOME = "transformers"
"""Whose classes messages name without their module."""


class Lookup(Protocol):
    """Knows the names of packages."""

    def of(self, name: str) -> Presence | None:
        """In which versions a dotted name is there; None: not known."""

    def beside(self, name: str) -> Iterable[str]:
        """Names that are where this one is not, in the newest release."""


class InTurn:
    """Asks one after the other until one knows."""

    def __init__(self, *lookups: Lookup) -> None:
        self._lookups = lookups

    def of(self, name: str) -> Presence | None:
        """In which versions a dotted name is there; None: not known."""
        return next((found for each in self._lookups if (found := each.of(name)) is not None), None)

    def beside(self, name: str) -> Iterable[str]:
        """Names that are where this one is not, in the newest release."""
        return {near for each in self._lookups for near in each.beside(name)}


def missing_name(captures: Mapping[str, str]) -> str | None:
    """The dotted name that a failure says is not there, from what its signature captured."""
    if any(text.startswith(_FROM_HUB) for text in captures.values()):
        return None
    symbol = captures.get("symbol", "")
    home = captures.get("provider") or captures.get("path") or ""
    if symbol and home:
        return f"{home}.{symbol}"
    if "." in captures.get("module", ""):
        return captures["module"]
    return _attribute(captures)


def _attribute(captures: Mapping[str, str]) -> str | None:
    owner = next((captures[name] for name in _CLASSES if captures.get(name)), "")
    attribute = next((captures[name] for name in _ATTRIBUTES if captures.get(name)), "")
    return f"{_HOME}.{owner}.{attribute}" if owner[:1].isupper() and attribute else None


def is_attribute(name: str) -> bool:
    """Whether the name is a field of a class, which can be there without the sources saying so."""
    return name.count(".") > 1 and name.rsplit(".", 2)[1][:1].isupper()


def in_common(found: Iterable[Presence]) -> list[Presence]:
    """For each package, the versions that have all of its names."""
    packages: dict[str, Presence] = {}
    for presence in found:
        known = packages.get(presence.package)
        if known is None:
            packages[presence.package] = presence
        else:
            both = [version for version in known.looked_at if version in presence.looked_at]
            there = {version: version in known and version in presence for version in both}
            packages[presence.package] = Presence.of(presence.package, there)
    return list(packages.values())


def meant(name: str, lookup: Lookup) -> str:
    """The name that was probably meant, where spelling alone keeps it apart from one that exists; else nothing."""
    wanted = name.rpartition(".")[2]
    known = {_bare(each): each for each in lookup.beside(name)}
    if _bare(wanted) in known:
        return known[_bare(wanted)]
    return next((known[near] for near in difflib.get_close_matches(_bare(wanted), known, n=1, cutoff=_ALIKE)), "")


def _bare(name: str) -> str:
    return name.replace("_", "").lower()

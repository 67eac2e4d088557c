"""In which versions of a package a name exists, from a dated table that the packages themselves gave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TABLE = Path(__file__).with_name("boundaries.json")


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Where names begin and end."""

    package: str
    derived: str
    """Date on which the table was derived, ISO 8601."""
    versions: tuple[str, ...]
    """The versions that were looked at, ascending."""
    names: Mapping[str, tuple[tuple[str, str], ...]]
    """Name to the runs of versions that have it, first and last of each, both looked at."""

    def present(self, name: str) -> list[str]:
        """The looked-at versions that have a name, ascending; empty for a name that is not in the table."""
        runs = [(Version(first), Version(last)) for first, last in self.names.get(self._key(name), ())]
        return [text for text in self.versions if any(first <= Version(text) <= last for first, last in runs)]

    def satisfying(self, names: Sequence[str]) -> list[str]:
        """The looked-at versions that have all of some names, ascending."""
        found = [set(self.present(name)) for name in names]
        return [version for version in self.versions if all(version in versions for versions in found)]

    def requirements(self, name: str) -> list[str]:
        """A name's runs as requirements, e.g. ``transformers>=4.42.0``; empty for a name that is not in the table."""
        result = []
        for first, last in self.names.get(self._key(name), ()):
            lower = "" if first == self.versions[0] else f">={first}"
            upper = "" if last == self.versions[-1] else f"<={last}"
            result.append(f"{self.package}{','.join(part for part in (lower, upper) if part)}")
        return result

    def _key(self, name: str) -> str:
        if name in self.names:
            return name
        tail = name.rsplit(".", 1)[-1]
        same = [known for known in self.names if known.rsplit(".", 1)[-1] == tail]
        return same[0] if name.startswith(self.package) and len(same) == 1 else name


def load(path: Path = TABLE) -> Boundaries:
    """Read a table.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a table of this form.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    return Boundaries(
        package=data["package"],
        derived=data["derived"],
        versions=tuple(data["versions"]),
        names={name: tuple((first, last) for first, last in runs) for name, runs in data["names"].items()},
    )


@cache
def shipped() -> Boundaries:
    """The table that comes with the harness, loaded once."""
    return load()

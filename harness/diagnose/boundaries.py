"""In which versions of a package a name exists, from a dated table that the packages' own sources gave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from harness.core.files import write_atomically
from harness.core.presence import Presence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLE = Path(__file__).with_name("boundaries.json")


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Where names of packages begin and end."""

    derived: str
    """Date on which the table was derived, ISO 8601."""
    names: Mapping[str, Presence]

    def of(self, name: str) -> Presence | None:
        """Where a name is.

        A module is where anything in it is; a name that moved within its package is known by its last part, if that is
        the only such.
        """
        name = name.removesuffix(".")
        if name in self.names:
            return self.names[name]
        if within := [presence for known, presence in self.names.items() if known.startswith(f"{name}.")]:
            there = {version: any(version in each for each in within) for version in within[0].looked_at}
            return Presence.of(within[0].package, there)
        package, tail = name.partition(".")[0], name.rpartition(".")[2]
        same = [known for known in self.names if known.startswith(f"{package}.") and known.rpartition(".")[2] == tail]
        return self.names[same[0]] if len(same) == 1 else None

    def beside(self, name: str) -> list[str]:
        """The last parts of names in the same module, as far as the table has them."""
        home = name.rpartition(".")[0]
        return [known.rpartition(".")[2] for known in self.names if known.rpartition(".")[0] == home]

    def home(self, name: str, packages: Sequence[str], *, deep: bool) -> str:  # noqa: ARG002 - a table has no depth
        """The dotted name of a class or function of which only the last part is known, as far as the table has it."""
        for package in packages:
            for known in self.names:
                parts = known.partition("(")[0].split(".")
                if parts[0] == package and name in parts[1:]:
                    return ".".join(parts[: parts.index(name) + 1])
        return ""

    def satisfying(self, names: Iterable[str]) -> list[Version]:
        """The versions that have all of some names of one package, those that the table does not know left out."""
        known = [presence for name in names if (presence := self.of(name)) is not None and presence.runs]
        return [version for version in known[0].versions if all(version in each for each in known)] if known else []


def load(path: Path = TABLE) -> Boundaries:
    """Read a table.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a table of this form.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    names = {
        name: Presence(package, versions, tuple((Version(first), Version(last)) for first, last in runs))
        for package, table in data["packages"].items()
        for versions in [tuple(map(Version, table["versions"]))]
        for name, runs in table["names"].items()
    }
    return Boundaries(data["derived"], names)


def write(table: Boundaries, path: Path = TABLE) -> None:
    """Keep a table.

    Raises:
        OSError: it cannot be written.
    """
    packages: dict[str, dict[str, Any]] = {}
    for name, presence in sorted(table.names.items()):
        of_package = packages.setdefault(presence.package, {"versions": presence.looked_at, "names": {}})
        of_package["names"][name] = presence.runs
    write_atomically(path, _compact({"derived": table.derived, "packages": packages}))


def _compact(data: Mapping[str, Any]) -> str:
    """JSON with one line for each name, so that a change can be read."""
    packages = []
    for package, table in data["packages"].items():
        names = ",\n".join(
            f"   {json.dumps(name)}: {json.dumps(runs, default=str)}" for name, runs in table["names"].items()
        )
        versions = json.dumps(table["versions"], default=str)
        packages.append(f'  {json.dumps(package)}: {{"versions": {versions},\n  "names": {{\n{names}\n  }}}}')
    body = ",\n".join(packages)
    return f'{{\n "derived": {json.dumps(data["derived"])},\n "packages": {{\n{body}\n }}\n}}\n'


@cache
def shipped() -> Boundaries:
    """The table that comes with the harness, loaded once."""
    return load()

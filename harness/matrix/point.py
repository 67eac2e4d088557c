"""One point of the matrix, before its rules are applied: the versions, the model, and what is asked of the engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.engines import Backend, Launch
from harness.matrix.deployed import Deployed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from packaging.version import Version
    from pydantic import JsonValue

    from harness.matrix.engine_source import EngineSource
    from harness.matrix.schema import Include

Place = tuple["str | int", ...]
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")


@dataclass(frozen=True, slots=True)
class AxisValue:
    """One value of a version axis."""

    version: Version
    rule: str | None
    """The rule it came from; None: it stands in the file itself."""
    source: EngineSource | None = None
    """Where it comes from, if that is not the index."""
    moved: bool = True
    """False for the version that a lock holds anyway."""


@dataclass(frozen=True, slots=True)
class Point:
    """A combination before the matrix's rules are applied to it."""

    python: str
    lmdeploy: AxisValue
    transformers: AxisValue
    backend: Backend
    model: str
    as_of: date | None
    entry: Include | None
    """The include it comes from; None: the axes."""
    place: Place
    packages: Mapping[str, AxisValue] = field(default_factory=dict)
    cuda: str = ""
    index: str = ""
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    deployed: Deployed | None = None
    """What a lock holds; None: the stack follows from the versions."""

    @property
    def lock(self) -> str:
        """The lock with its groups and extras."""
        if self.entry is None or self.entry.lock is None:
            return ""
        further = ",".join((*self.entry.groups, *self.entry.extras))
        return f"{self.entry.lock}[{further}]" if further else self.entry.lock

    @property
    def lmdeploy_version(self) -> Version:
        """The version alone, for rules."""
        return self.lmdeploy.version

    @property
    def transformers_version(self) -> Version:
        """As above."""
        return self.transformers.version

    @property
    def launch(self) -> Launch:
        """How the engine is started."""
        return self.entry.launch if self.entry is not None else Launch.LIBRARY

    @property
    def rules(self) -> tuple[str | None, str | None]:
        """The version rules behind it."""
        return self.lmdeploy.rule, self.transformers.rule

    @property
    def id(self) -> str:
        """Readable, and unique in its matrix."""
        parts = [
            f"lmdeploy{self.lmdeploy.version}",
            f"transformers{self.transformers.version}",
            str(self.backend),
            self.model,
            f"py{self.python}",
            *(f"{name}{choice.version}" for name, choice in self.packages.items()),
            *filter(None, (self.cuda, self.index.rstrip("/").rpartition("/")[2])),
            *(_word(name, value) for name, value in self.settings.items()),
        ]
        if self.lock:
            parts.append(self.lock.rstrip("]").replace("[", "-").replace(",", "-"))
        if self.as_of is not None:
            parts.append(f"as-of-{self.as_of.isoformat()}")
        if self.launch is not Launch.LIBRARY:
            parts.append(str(self.launch))
        if self.entry is not None and self.entry.label is not None:
            parts.append(self.entry.label)
        return _UNSAFE.sub("_", "-".join(parts))

    @property
    def stack(self) -> Deployed:
        """What the lock holds, with what was moved; without a lock, the versions of the axes."""
        source = self.lmdeploy.source
        wanted = {
            "lmdeploy": source.requirement if source is not None else f"lmdeploy=={self.lmdeploy.version}",
            "transformers": f"transformers=={self.transformers.version}",
            **{name: f"{name}=={choice.version}" for name, choice in self.packages.items()},
        }
        if self.deployed is None:
            return Deployed(tuple(wanted.values()))
        choices = {"lmdeploy": self.lmdeploy, "transformers": self.transformers, **self.packages}
        return self.deployed.moved({name: wanted[name] for name, choice in choices.items() if choice.moved})


def _word(name: str, value: JsonValue) -> str:
    """A setting in an id: ``tp2``, ``eager_mode``, ``no-eager_mode``."""
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    return f"{name}{value}"

"""One point of the matrix with everything a runner needs to know about it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a bundle's reader asks for the types of the fields
from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 - as above
from types import MappingProxyType

from pydantic import JsonValue  # noqa: TC002 - as above

from harness.core.verdict import Expectation, Stage, Status
from harness.engines import Backend, Launch
from harness.engines.settings import settings_text
from harness.matrix.schema import Platform, end_of


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits on a stage's children, in seconds; None: the stage's own default."""

    wall: float | None = None
    idle: float | None = None


@dataclass(frozen=True, slots=True)
class TargetMachine:
    """The machine the chosen stack is meant for; None: not said."""

    gpu_memory_gib: float | None = None
    platform: Platform | None = None
    driver: str | None = None
    """A PEP 440 range such as ``>=550``."""
    compute_capability: str | None = None
    """A PEP 440 range such as ``>=8.0``."""


@dataclass(frozen=True, slots=True)
class Combination:
    """What to lock, build and run, and what to expect of it."""

    id: str
    """Readable, unique in its matrix, safe in file names and shells."""
    python: str
    lmdeploy: str
    transformers: str
    backend: Backend
    model: str
    as_of: date | None = None
    """Packages uploaded after the end of this day (UTC) do not exist; None: the index as it is."""
    launch: Launch = Launch.LIBRARY
    requirements: tuple[str, ...] = ()
    """Everything the lock is asked for: lmdeploy, transformers, what the model needs and what the matrix adds."""
    overrides: tuple[str, ...] = ()
    """Requirements that replace what packages ask for."""
    kept: tuple[str, ...] = ()
    """``name==version`` of packages that its stack keeps unless something demands another: a gate changes one thing."""
    allow_source: tuple[str, ...] = ()
    """Packages that may be built from source; all others are taken as wheels only."""
    tags: tuple[str, ...] = ()
    expect: Expectation = field(default_factory=lambda: Expectation(Status.PASS))
    note: str = ""
    """The matrix's own words: an include's note, then why the verdict is expected."""
    excluded: str | None = None
    """The matrix's reason to leave it out; None: it runs."""
    timeouts: Mapping[Stage, Timeout] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    target: TargetMachine = TargetMachine()
    written: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Version rules behind expanded axes: ``{"transformers": "latest"}``."""
    lock: str = ""
    """The project's file that names the stack, with its groups and extras: ``uv.lock[gpu]``; empty: the axes do."""
    complete: bool = False
    """Whether the requirements are the whole stack, which nothing is added to."""
    constraints: tuple[str, ...] = ()
    """Versions of packages that need not be there."""
    indexes: tuple[str, ...] = ()
    """Package indexes beside the user's own."""
    cuda: str = ""
    """Which builds of torch, such as ``cu126``; empty: the index's own."""
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Versions on axes of the matrix's own: ``{"torch": "2.8.0"}``."""
    settings: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)
    """What the engine is told: ``{"tp": 2}``."""
    source: str = ""
    """``matrix.yaml:12``: where it comes from."""

    @property
    def axes(self) -> dict[str, str]:
        """The axes as a record keeps them; ``as_of`` and ``launch`` only where they differ from the default."""
        axes = {
            "python": self.python,
            "lmdeploy": self.lmdeploy,
            "transformers": self.transformers,
            "backend": str(self.backend),
            "model": self.model,
        }
        if self.as_of is not None:
            axes["as_of"] = self.as_of.isoformat()
        if self.launch is not Launch.LIBRARY:
            axes["launch"] = str(self.launch)
        further = {"lock": self.lock, "cuda": self.cuda, "index": " ".join(self.indexes) if not self.lock else ""}
        further["engine"] = settings_text(self.settings)
        return axes | dict(self.packages) | {name: value for name, value in further.items() if value}

    @property
    def options(self) -> dict[str, str]:
        """Options of the probes; empty for an ordinary combination."""
        return {} if self.launch is Launch.LIBRARY else {"launch": str(self.launch)}

    @property
    def exclude_newer(self) -> str | None:
        """``as_of`` as the moment (RFC 3339) that a resolver takes as its limit."""
        return None if self.as_of is None else end_of(self.as_of)

"""From what a combination asks for to the lock it resolves to, by uv, remembered.

A resolution with an ``as_of`` date can never change while the indexes stay the same, so it is remembered for good; one
without is remembered for a day, because what the index holds today is what a user would get today. So is one out of
lists of files, which know no dates. ``--refresh`` asks again, once.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ValidationError, model_validator

from harness.core.files import digest, read_json, write_atomically
from harness.core.program import NAME
from harness.environments.install import source_arguments
from harness.environments.lock import Lock
from harness.environments.uv import UvFailure, run_uv, uv_version
from harness.environments.uv_settings import BadSettings, UvSettings, uv_settings
from harness.process.scratch import own_folder

REMEMBERED_FOR = 24 * 3600.0
"""Seconds an undated resolution stays known."""


if TYPE_CHECKING:
    from harness.process.child import Limits

ASKING = "asking"
"""Folder, beside the answers, in which uv works."""


Asked = tuple[
    tuple[str, ...],
    tuple[str, ...],
    tuple[str, ...],
    str | None,
    tuple[str, ...],
    bool,
    tuple[str, ...],
    tuple[str, ...],
    str,
]
"""Requirements, overrides, packages from source, moment, kept versions, whether that is all, constraints, indexes, CUDA
variant: what a stack follows from, given its Python."""


@dataclass(frozen=True, slots=True)
class ResolveRequest:
    """What is to be resolved. Requirements are PEP 508 strings, sorted; so are overrides."""

    python: str
    """Path of the interpreter."""
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    allow_source: tuple[str, ...] = ()
    """Packages that may be built from source; everything else must have a wheel, so that no foreign build runs."""
    exclude_newer: str | None = None
    """Moment (RFC 3339) after which an upload does not exist; None: the index as it is."""
    kept: tuple[str, ...] = ()
    """``name==version`` of packages that stay where they are unless something demands another version."""
    complete: bool = False
    """Whether the requirements are the whole stack, so that nothing else is added and nothing is compared."""
    constraints: tuple[str, ...] = ()
    """Versions of packages that need not be there."""
    indexes: tuple[str, ...] = ()
    """Addresses of package indexes beside those that uv is set to."""
    cuda: str = ""
    """Which builds of torch are taken, in the words of uv's ``--torch-backend``; empty: those of the index."""

    @property
    def asked(self) -> Asked:
        """All of it but the interpreter."""
        return (
            self.requirements,
            self.overrides,
            self.allow_source,
            self.exclude_newer,
            self.kept,
            self.complete,
            self.constraints,
            self.indexes,
            self.cuda,
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """The lock, or why there is none. ``seconds`` is what uv took when it was asked."""

    lock: Lock | None
    failure: UvFailure | None
    seconds: float
    reused: bool


class _Failure(BaseModel):
    kind: Literal["conflict", "no-wheel"]
    message: str


class _Remembered(BaseModel):
    """The content of a file: a lock or a failure, never both and never neither."""

    at: float
    lock: str | None
    name: str | None
    """The lock's name: a lock that changed on the disk is not taken for the one that uv made."""
    failure: _Failure | None
    seconds: float

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.lock is None) == (self.failure is None):
            raise ValueError("neither or both of lock and failure")
        return self


@dataclass(frozen=True, slots=True)
class Resolver:
    """Asks uv, and remembers in ``folder``."""

    folder: Path
    refresh: bool = False
    began: float = field(default_factory=time.time)
    """With ``refresh``, what was answered before this moment does not count."""

    def recall(self, request: ResolveRequest) -> Resolution | None:
        """The remembered answer, or None when there is none that still counts."""
        try:
            known = read_json(self._file(request))
            if known is None:
                return None
            answer = _Remembered.model_validate(known)
        except (BadSettings, ValidationError):
            return None  # uv is asked again, and tells what is wrong with its settings
        age = time.time() - answer.at
        passing = request.exclude_newer is None or _settings(self.folder).has_lists
        if (self.refresh and answer.at < self.began) or (passing and not 0 <= age <= REMEMBERED_FOR):
            return None  # also one from the future: the clock was set back, so nobody knows how old it is
        lock = Lock(answer.lock) if answer.lock is not None else None
        if (lock.name if lock is not None else None) != answer.name:
            return None  # not the bytes that uv wrote
        failure = UvFailure(answer.failure.kind, answer.failure.message) if answer.failure is not None else None
        return Resolution(lock, failure, answer.seconds, reused=True)

    def resolve(self, request: ResolveRequest, limits: Limits) -> Resolution:
        """The lock for ``request``, from memory or from uv.

        Only answers about versions are remembered; trouble with the network or the disk is not.
        """
        known = self.recall(request)
        if known is not None:
            return known
        started = time.monotonic()
        lock: Lock | None = None
        failure: UvFailure | None = None
        try:
            lock = Lock(self._ask(request, limits))
        except UvFailure as error:
            failure = error
        seconds = round(time.monotonic() - started, 3)
        if failure is None or failure.of_versions:
            self.remember(request, lock, failure, seconds)
        return Resolution(lock, failure, seconds, reused=False)

    def _ask(self, request: ResolveRequest, limits: Limits) -> str:
        # a fresh folder: uv prefers the pins of an output file that already exists
        with tempfile.TemporaryDirectory(prefix="resolve-", dir=own_folder(self.folder / ASKING)) as name:
            folder = Path(name)
            (folder / "requirements.in").write_text("\n".join(request.requirements) + "\n", "utf-8")
            (folder / "overrides.txt").write_text("\n".join(request.overrides) + "\n", "utf-8")
            if request.kept:
                (folder / "pylock.toml").write_text(_written(request.kept), "utf-8")
            arguments = ["pip", "compile", "requirements.in", "--quiet", "--no-header", "--no-annotate"]
            arguments += ["--format", "pylock.toml", "--output-file", "pylock.toml", "--python", request.python]
            if sys.platform != "linux":  # only there is anything run, so the lock is for there
                arguments += ["--python-platform", "x86_64-manylinux_2_28"]
            if request.overrides:
                arguments += ["--overrides", "overrides.txt"]
            if request.constraints:
                (folder / "constraints.txt").write_text("\n".join(request.constraints) + "\n", "utf-8")
                arguments += ["--constraints", "constraints.txt"]
            if request.complete:
                arguments.append("--no-deps")
            if request.indexes:  # all are alike, as they are to pip: an exact version stands on one of them
                arguments += [part for index in request.indexes for part in ("--index", index)]
                arguments += ["--index-strategy", "unsafe-best-match"]
            if request.cuda:
                arguments += ["--torch-backend", request.cuda]
            if request.exclude_newer is not None:
                arguments += ["--exclude-newer", request.exclude_newer]
            arguments += source_arguments(request.allow_source)
            run_uv(arguments, folder=folder, timeout=limits.wall, idle=limits.idle)
            return (folder / "pylock.toml").read_text("utf-8") + _told(request)

    def remember(self, request: ResolveRequest, lock: Lock | None, failure: UvFailure | None, seconds: float) -> None:
        """Keep what uv said of ``request``, here or on another machine.

        Raises:
            UvFailure: uv's settings here cannot be read, so nobody knows what the answer holds for.
            OSError: it cannot be written.
        """
        answer = {
            "at": time.time(),
            "lock": lock.text if lock is not None else None,
            "name": lock.name if lock is not None else None,
            "failure": {"kind": failure.kind, "message": failure.message} if failure is not None else None,
            "seconds": seconds,
        }
        try:
            file = self._file(request)
        except BadSettings as error:
            raise UvFailure("settings", str(error)) from error
        write_atomically(file, json.dumps(answer))

    def _file(self, request: ResolveRequest) -> Path:
        """Named by the hash of everything the answer depends on.

        Raises:
            BadSettings: uv's settings cannot be read, so nobody knows what that is.
        """
        key = digest(["resolve-4", request.python, *request.asked, uv_version(), _settings(self.folder).decisive])
        return self.folder / f"{key}.json"


@cache
def _settings(folder: Path) -> UvSettings:
    """Those that hold where uv is asked. They are read once: each of thousands of combinations wants to know."""
    return uv_settings(folder / ASKING)


def _told(request: ResolveRequest) -> str:
    """Where the files of a lock come from, for whoever installs it; nothing where that is the user's own index."""
    if not (request.indexes or request.cuda):
        return ""
    return f"\n[tool.{NAME}]\nindexes = {json.dumps(request.indexes)}\ncuda = {json.dumps(request.cuda)}\n"


def _written(kept: tuple[str, ...]) -> str:
    """Versions as a lock: uv prefers those of an output file that is there."""
    pairs = (each.partition("==") for each in kept)
    packages = (f'[[packages]]\nname = "{name}"\nversion = "{version}"\n' for name, _, version in pairs)
    return "\n".join(['lock-version = "1.0"\ncreated-by = "harness"\n', *packages])

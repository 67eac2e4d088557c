"""Which wheels of a stack a host lacks, and fetching them.

The walk starts at what the combination itself asks for and follows the wheels' own requirements. A package stays behind
when the host's version satisfies everything that asks for it, or when it belongs to what a GPU host brings itself
(torch and its CUDA libraries): then the host's version runs, and the record says so.
"""

from __future__ import annotations

import fnmatch
import hashlib
import tempfile
import zipfile
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx
import stamina
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from harness.bundle.manifest import PackedStack
from harness.core.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.environments.lock import Lock, LockedWheel

HOST_KEEPS = ("torch", "torchvision", "torchaudio", "triton", "nvidia-*", "cuda-*", "numpy")
"""What a host with a GPU brings itself: replacing it would mean gigabytes, or breaks what is built against it."""
_ATTEMPTS = 4
_PATIENCE = 600.0
"""Seconds for all attempts at one wheel."""
_TOO_MANY = 429
_LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait."""


class WheelUnavailable(HarnessError, RuntimeError):  # noqa: N818 - reads as what happened
    """A wheel of a lock could not be had; the message says which and why."""

    exit_code = ExitCode.INFRASTRUCTURE


@dataclass(frozen=True)
class Luggage:
    """How to choose what travels."""

    host: Mapping[str, str]
    """The host's packages: normalised name to version."""
    keeps: tuple[str, ...] = HOST_KEEPS
    leave_out: tuple[str, ...] = ()
    carry: tuple[str, ...] = ()
    """Patterns of packages that travel whatever the others say."""
    lent: Mapping[str, str] = field(default_factory=dict)
    """Packages that travel once for all stacks: name to version."""
    trim: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Patterns of files to take out of a package's wheel, by package."""


class WheelStore:
    """Wheels on the disk, by hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, wheel: LockedWheel) -> Path:
        """The wheel's file, downloaded unless it is there.

        Raises:
            WheelUnavailable: it could not be downloaded, or its hash is not the lock's.
        """
        path = self.folder / wheel.sha256[:16] / Path(wheel.name).name
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".partial-", dir=path.parent, delete=False) as file:
            partial = Path(file.name)
            try:
                self._download(wheel, file)
            except BaseException:
                partial.unlink()
                raise
        partial.chmod(0o644)
        partial.rename(path)
        return path

    @staticmethod
    def _download(wheel: LockedWheel, file: IO[bytes]) -> None:
        try:
            for attempt in stamina.retry_context(on=_worth_another, attempts=_ATTEMPTS, timeout=_PATIENCE):
                with attempt:
                    file.seek(0)
                    file.truncate()
                    hashed = hashlib.sha256()
                    with httpx.stream("GET", wheel.url, follow_redirects=True, timeout=60) as answer:
                        answer.raise_for_status()
                        for block in answer.iter_bytes(1 << 20):
                            hashed.update(block)
                            file.write(block)
        except httpx.HTTPStatusError as error:
            raise WheelUnavailable(f"{wheel.name}: its server answered {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WheelUnavailable(f"{wheel.name} could not be downloaded: {type(error).__name__}") from error
        if hashed.hexdigest() != wheel.sha256:
            raise WheelUnavailable(f"{wheel.name} does not have the hash that the lock names; it was thrown away")


def _worth_another(error: Exception) -> bool | float:
    """Whether a failed download may pass, and after how many seconds, where the server says so."""
    if not isinstance(error, httpx.HTTPStatusError):
        return isinstance(error, httpx.TransportError)
    if error.response.status_code != _TOO_MANY:
        return error.response.is_server_error
    asked = error.response.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_WAIT) if asked.isdecimal() else True


def choose(
    lock: Lock, roots: Sequence[str], python: str, luggage: Luggage, store: WheelStore
) -> tuple[PackedStack, dict[str, Path]]:
    """What of the stack travels, and the files by name.

    Args:
        lock: the stack.
        roots: requirements the combination itself makes.
        python: version of the host's interpreter.
        luggage: how to choose.
        store: where wheels are kept.

    Raises:
        WheelUnavailable: a wheel that has to travel cannot be had.
    """
    wheels, stack = lock.wheels(python), lock.stack
    environment = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": python, "extra": ""}
    chosen: dict[str, Path] = {}
    from_host: dict[str, str] = {}
    out: set[str] = set()
    waiting = [Requirement(each) for each in roots]
    waiting += [Requirement(name) for name in stack if _fits(name, luggage.carry)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = str(canonicalize_name(requirement.name))
        if name not in stack or name in chosen or (name, str(requirement)) in seen:
            continue
        seen.add((name, str(requirement)))
        if not _fits(name, luggage.carry):
            if _fits(name, luggage.leave_out) and name not in luggage.host:
                out.add(name)
                continue
            present = luggage.lent.get(name)
            if present is not None:
                from_host[name] = present
                continue
            present = luggage.host.get(name)
            if present is not None and (
                _fits(name, luggage.keeps) or requirement.specifier.contains(present, prereleases=True)
            ):
                from_host[name] = present
                continue
            if _fits(name, luggage.keeps):
                out.add(name)
                continue
        if name not in wheels:
            raise WheelUnavailable(f"{name} {stack[name]} has no wheel for Python {python} that could travel")
        chosen[name] = store.fetch(wheels[name])
        waiting += needs_of(chosen[name], environment, requirement.extras)
    files = {path.name: path for path in chosen.values()}
    packed = PackedStack(
        wheels=sorted(files),
        host_has={name: version for name, version in sorted(from_host.items()) if name not in chosen},
        left_out=sorted(out - chosen.keys()),
        trimmed={
            path.name: found
            for name, path in chosen.items()
            if (found := [each for each in _members(path) if _fits(each, luggage.trim.get(name, ()))])
        },
    )
    return packed, files


def to_lend(locks: Iterable[Lock], patterns: Sequence[str], python: str) -> dict[str, LockedWheel]:
    """The newest wheel among the stacks of each package that fits a pattern.

    One of each is enough where versions differ only in what nothing asks for: CUDA libraries of one major version.
    """
    found: dict[str, LockedWheel] = {}
    for lock in locks:
        for name, wheel in lock.wheels(python).items():
            known = found.get(name)
            if _fits(name, patterns) and (known is None or wheel_version(wheel) > wheel_version(known)):
                found[name] = wheel
    return found


def wheel_version(wheel: LockedWheel) -> Version:
    """The version in a wheel's name."""
    return parse_wheel_filename(wheel.name)[1]


def needs_of(wheel: Path, environment: Mapping[str, str], extras: set[str]) -> Iterator[Requirement]:
    """The requirements in a wheel's metadata that count in that environment."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
    for text in metadata.get_all("Requires-Dist", []):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # the resolver has read it already; what it made of it is in the lock
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in {"", *extras}):
            yield requirement


def host_packages(listing: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The packages of ``pip list --format json``: normalised name to version."""
    found = {str(canonicalize_name(each["name"])): each["version"] for each in listing}
    return {name: str(Version(version.split("+")[0])) for name, version in found.items()}


def _members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

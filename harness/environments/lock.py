"""A stack: the exact set of packages a combination resolves to, as a PEP 751 lock.

The lock's text is uv's own ``pylock`` output. Its hash names the stack, and two combinations share an environment
only when their locks are the same bytes.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.pylock import Package, PackageWheel, Pylock, PylockValidationError
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from harness.core.errors import HarnessError
from harness.core.program import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HASH_LENGTH = 16
"""Hexadecimal digits of a lock's name: 64 bits, enough for a billion stacks."""

LINUX_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux1_x86_64",
    "linux_x86_64",
)
"""Platforms of wheels for Linux on x86-64, best first."""


class InvalidLock(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the file
    """The text is not a PEP 751 lock; the message says where."""


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """A file of a lock."""

    name: str
    url: str
    sha256: str
    size: int | None
    """Bytes, where the index tells."""


@dataclass(frozen=True)
class Lock:
    """One lock, known by its text."""

    text: str

    @cached_property
    def name(self) -> str:
        """The stack's name: the start of the SHA-256 of the lock's bytes."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:HASH_LENGTH]

    @cached_property
    def _pylock(self) -> Pylock:
        try:
            return Pylock.from_dict(tomllib.loads(self.text))
        except (ValueError, TypeError, AttributeError, RecursionError, PylockValidationError) as error:
            raise InvalidLock(f"not a PEP 751 lock: {error}") from error

    @cached_property
    def _files(self) -> list[tuple[Package, list[tuple[PackageWheel, str, frozenset[Tag]]]]]:
        """Every package with its wheels, each with its file name and what that fits."""
        try:
            return [(each, [_named(wheel) for wheel in each.wheels or []]) for each in self._pylock.packages]
        except InvalidWheelFilename as error:
            raise InvalidLock(f"not a lock that can be installed: {error}") from error

    @cached_property
    def stack(self) -> Mapping[str, str]:
        """Normalised package name to version, sorted.

        Raises:
            InvalidLock: the text is not a lock.
        """
        return {
            str(canonicalize_name(package.name)): str(package.version)
            for package in sorted(self._pylock.packages, key=lambda each: each.name)
        }

    def requirements(self) -> str:
        """The lock as hash-checked requirements, one package a line.

        uv keeps what it installs from requirements in its cache, but downloads the files of a ``pylock`` anew every
        time (seen with uv 0.13.9: 20 s instead of 1 s for a stack of 3 GB), so environments are built from this form.

        What stands at an address of its own is named by it; a commit is its own hash.

        Raises:
            InvalidLock: the text is not a lock, or a package in it has no hash.
        """
        lines: list[str] = []
        for package in self._pylock.packages:
            if package.vcs is not None:
                origin = f"{package.vcs.type}+{package.vcs.url}@{package.vcs.commit_id}"
                lines.append(f"{package.name} @ {origin}")
                continue
            if package.archive is not None:
                path = package.archive.path
                place = package.archive.url or (Path(path).as_uri() if path else "")
                given = [f"--hash={kind}:{value}" for kind, value in sorted(package.archive.hashes.items())]
                lines.append(" ".join([f"{package.name} @ {place}", *given]))
                continue
            found = [wheel.hashes for wheel in package.wheels or []]
            if package.sdist is not None:
                found.append(package.sdist.hashes)
            hashes = sorted({f"--hash={kind}:{value}" for each in found for kind, value in each.items()})
            if not hashes:
                raise InvalidLock(f"{package.name} has no hash in the lock")
            lines.append(" ".join([f"{package.name}=={package.version}", *hashes]))
        return "\n".join(lines) + "\n"

    @property
    def source_arguments(self) -> list[str]:
        """What uv has to be told to find its files: the indexes it was resolved from, beside the user's own."""
        told = (self._pylock.tool or {}).get(NAME, {})
        indexes, cuda = (told.get("indexes", []), told.get("cuda", "")) if isinstance(told, dict) else ([], None)
        if not (isinstance(indexes, list) and all(isinstance(each, str) for each in [*indexes, cuda])):
            raise InvalidLock(f"not a lock of the harness's: [tool.{NAME}] does not say indexes and cuda as text")
        arguments = [part for index in indexes for part in ("--index", index)]
        arguments += ["--index-strategy", "unsafe-best-match"] if arguments else []
        arguments += ["--torch-backend", cuda] if cuda else []
        return arguments if self._has_commits else ["--require-hashes", *arguments]

    @property
    def _has_commits(self) -> bool:
        """Whether a package is a commit, which has no hash for uv to demand."""
        return any(package.vcs is not None for package in self._pylock.packages)

    def download_sizes(self, python: str) -> Mapping[str, int]:
        """File name to size in bytes of what an installation would fetch when nothing is cached.

        Files whose size the index does not tell are left out.
        """
        return {name: size for name, size in self._chosen_files(platform_tags(python)) if size is not None}

    def wheels(self, python: str) -> Mapping[str, LockedWheel]:
        """The wheel an installation on this platform would choose for each package, by normalised name.

        Packages that have no fitting wheel, or none with an address and a SHA-256, are left out.

        Args:
            python: version of the interpreter, ``3.12``.

        Raises:
            InvalidLock: the text is not a lock.
        """
        tags = platform_tags(python)
        rank = {tag: place for place, tag in enumerate(tags)}
        found: dict[str, LockedWheel] = {}
        for package, files in self._files:
            best = len(rank)
            for wheel, filename, fits in files:
                place = min(rank.get(tag, len(rank)) for tag in fits)
                if place < best and wheel.url and "sha256" in wheel.hashes:
                    best = place
                    name = str(canonicalize_name(package.name))
                    found[name] = LockedWheel(filename, wheel.url, wheel.hashes["sha256"], wheel.size)
        return found

    def _chosen_files(self, tags: list[Tag]) -> Iterator[tuple[str, int | None]]:
        rank = {tag: place for place, tag in enumerate(tags)}
        for package, files in self._files:
            best: tuple[int, str, int | None] | None = None
            for wheel, filename, fits in files:
                places = [rank.get(tag, len(rank)) for tag in fits]
                candidate = (min(places), filename, wheel.size)
                best = candidate if best is None or candidate[0] < best[0] else best
            if best is not None:
                yield best[1], best[2]
            elif package.sdist is not None:
                yield f"{package.name}-{package.version}.tar.gz", package.sdist.size


def _named(wheel: PackageWheel) -> tuple[PackageWheel, str, frozenset[Tag]]:
    filename = wheel.name or (wheel.url or wheel.path or "").rsplit("/", 1)[-1]
    return wheel, filename, parse_wheel_filename(filename)[3]


def platform_tags(python: str) -> list[Tag]:
    """What an interpreter of that version takes on this platform, best first; on Linux, where this is none."""
    version = tuple(int(part) for part in python.split(".")[:2])
    platforms = None if sys.platform == "linux" else LINUX_PLATFORMS
    return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)]

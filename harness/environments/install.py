"""Installing hash-checked requirements into a new environment, and looking at what that laid down.

From the moment something is installed, the environment's interpreter may run code of packages as soon as it starts
(``.pth`` files, ``sitecustomize``, another ``pyvenv.cfg``). So it is started in the sandbox alone: uv asks it before,
an attempt that failed is not built upon, and what is there afterwards is read, not asked for.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, canonicalize_version

from harness.core.untrusted_files import read_untrusted, remove_tree
from harness.environments.uv import UvFailure, run_uv
from harness.environments.wholeness import LARGEST_RECORD, METADATA
from harness.process.probing import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.process.child import Limits

_LARGEST = 2**20
"""Bytes of a file that makes an environment; the largest has some thousands."""
_COMES_FIRST = "bin/pyvenv.cfg"
"""An interpreter looks for its settings here before it looks where they are."""
_OUR_OWN = "harness-*"
"""What the harness keeps in an environment is called so."""


def source_arguments(allow_source: tuple[str, ...]) -> list[str]:
    """Uv's arguments for wheels only, with the named exceptions."""
    return ["--only-binary", ":all:", *(part for name in allow_source for part in ("--no-binary", name))]


def install(  # noqa: PLR0913 - the parts of an environment
    folder: Path,
    interpreter: Path,
    requirements: Path,
    stack: Mapping[str, str] | None,
    limits: Limits,
    *,
    allow_source: tuple[str, ...] = (),
    spoilt: Iterable[str] = (),
    sources: Sequence[str] = ("--require-hashes",),
) -> None:
    """Make an environment of ``requirements``, in the place of whatever is there.

    Args:
        folder: the environment.
        interpreter: the Python that it is made with.
        requirements: a file outside of it, with hashes.
        stack: what they are, normalised name to version; None: the caller looks.
        limits: what uv may use, all its attempts together.
        allow_source: packages that may be built from source.
        spoilt: packages of which uv's cache may hold damaged files; it has to fetch them again.
        sources: what uv is told of where the files come from.

    Raises:
        UvFailure: uv could not install them, or what is there is not the stack alone; it must not be used.
        OSError: what was there before cannot be removed.
    """
    sync = ["pip", "sync", "--quiet", "--python", str(folder / "bin" / "python"), *sources]
    sync += [*source_arguments(allow_source), *_links(), str(requirements)]
    made = _make(folder, interpreter)
    started = time.monotonic()
    if spoilt:
        run_uv(["cache", "clean", "--quiet", *spoilt], folder=folder.parent, timeout=limits.wall)
    try:
        # most stacks share most packages: no need to ask
        run_uv([*sync, "--offline"], folder=folder.parent, timeout=limits.wall, idle=limits.idle)
    except UvFailure as failure:
        if failure.kind in {"disk", "settings", "timeout"}:
            raise
        made = _make(folder, interpreter)
        left = max(1.0, limits.wall - (time.monotonic() - started))
        run_uv(sync, folder=folder.parent, timeout=left, idle=limits.idle)
    _check(folder, made, stack)


def _links() -> list[str]:
    """Uv's arguments where what is tested could change the files that environments share with uv's cache."""
    return [] if wanted() else ["--link-mode", "copy"]


def installed(folder: Path) -> Iterator[tuple[str, str]]:
    """Normalised name and version of every package in an environment, as their metadata says."""
    for each in folder.glob(f"lib/python*/site-packages/*{METADATA}"):
        name, _, version = each.name.removesuffix(METADATA).rpartition("-")
        yield str(canonicalize_name(name)), str(canonicalize_version(version, strip_trailing_zero=False))


def _make(folder: Path, interpreter: Path) -> dict[str, bytes]:
    """A new environment without packages; what it is made of."""
    remove_tree(folder)
    run_uv(["venv", "--quiet", "--no-project", "--python", str(interpreter), str(folder)], folder=folder.parent)
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118 - of text
    return {name: _content(folder, name) for name in (os.path.relpath(each, folder) for each in files)}


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    if path.is_symlink():
        return b"-> " + os.fsencode(path.readlink())
    return read_untrusted(folder, name, _LARGEST) or b""


def _check(folder: Path, made: Mapping[str, bytes], stack: Mapping[str, str] | None) -> None:
    """See to it that the stack was installed and no more.

    Raises:
        UvFailure: it was not.
    """
    for name, content in made.items():
        if _content(folder, name) != content:
            raise UvFailure("laid-over", f"{_owner(folder, name)} puts a {name} of its own in the environment's place")
    for each in (*folder.glob(_COMES_FIRST), *folder.glob(_OUR_OWN)):
        name = str(each.relative_to(folder))
        raise UvFailure("laid-over", f"{_owner(folder, name)} lays down {name}, which is not a package's to make")
    if stack is None:
        return
    found = sorted(installed(folder))
    for name, version in found:
        if stack.get(name) != version or found.count((name, version)) > 1:
            raise UvFailure(
                "laid-over", f"something passes itself off as {name} {version}, which the lock does not hold"
            )
    missing = stack.keys() - dict(found).keys()
    if missing:
        raise UvFailure("other", f"uv installed the lock without {', '.join(sorted(missing))}")


def _owner(folder: Path, name: str) -> str:
    """The package that says it laid down that file."""
    for site in folder.glob("lib/python*/site-packages"):
        sought = f"\n{os.path.relpath(folder / name, site)}".encode()
        for each in site.glob(f"*{METADATA}"):
            record = read_untrusted(site, f"{each.name}/RECORD", LARGEST_RECORD) or b""
            if sought in b"\n" + record:
                return each.name.removesuffix(METADATA).replace("-", " ")
    return "a package"

"""Building environments: one for each stack, never changed after it is finished, never built by two at once.

An environment is a folder named by its lock. It is valid only with its finish marker, which is written last and holds
the hash of the lock's bytes; anything without it is a ruin and is built again. The disk has its files before it has the
marker, and where a version is about to be blamed it is looked at whether they are still there.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock

from harness.core.files import read_json, sync_file_system, write_atomically
from harness.core.untrusted_files import remove_tree
from harness.environments.install import install
from harness.environments.uv import UvFailure
from harness.environments.wholeness import NotWhole, lacking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.environments.lock import Lock
    from harness.process.child import Limits

MARKER = "harness-finished.json"
SPOILT = "harness-spoilt.json"
"""In an environment that lost files: the packages that they are of."""
LEAST_FREE = 8 * 1024**3
"""Bytes that must be free before a stack is installed: a new CUDA stack unpacks to about 6 GiB."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A finished environment."""

    folder: Path
    seconds: float
    """What building it took; that of the earlier build when it was there already."""
    reused: bool

    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Environment variables its children need."""

    behind: tuple[Path, ...] = ()
    """Folders of packages that it falls back on."""
    complete: bool = True
    """It holds every file that its packages name; a bundle leaves some out."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def demand_whole(self) -> None:
        """See to it that what was built earlier still holds what was installed.

        Raises:
            NotWhole: it does not; the next to ask for it builds it anew.
        """
        if not self.reused or not self.complete:
            return
        found = lacking(self.folder)
        if found:
            write_atomically(self.folder / SPOILT, json.dumps({"packages": sorted(found)}), durable=True)
            (self.folder / MARKER).unlink(missing_ok=True)
            raise NotWhole(self.folder, found)


@dataclass(frozen=True, slots=True)
class Environments:
    """All environments, in one folder."""

    root: Path

    def folder(self, lock: Lock) -> Path:
        """Where the environment of ``lock`` is or will be."""
        return self.root / lock.name

    def find(self, lock: Lock) -> Environment | None:
        """The finished environment of ``lock``, or None."""
        folder = self.folder(lock)
        marker = read_json(folder / MARKER)
        if marker is None or marker.get("lock") != lock.name or not (folder / "bin" / "python").exists():
            return None
        seconds = marker.get("seconds")
        return Environment(folder, float(seconds) if isinstance(seconds, int | float) else 0.0, reused=True)

    def build(
        self, lock: Lock, interpreter: Path, limits: Limits, *, allow_source: tuple[str, ...] = ()
    ) -> Environment:
        """The environment of ``lock``, built unless it is finished already.

        Raises:
            UvFailure: uv could not install the lock; nothing is left that could pass for an environment.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        guard = self.root / f"{lock.name}.lock"
        guard.touch()  # where no file can be, a lock would be waited for without end
        with FileLock(guard):
            found = self.find(lock)
            if found is not None:
                return found
            return self._build(lock, interpreter, limits, allow_source)

    def _build(self, lock: Lock, interpreter: Path, limits: Limits, allow_source: tuple[str, ...]) -> Environment:
        folder = self.folder(lock)
        self._demand_space()
        started = time.monotonic()
        requirements = folder.with_suffix(".txt")
        requirements.write_text(lock.requirements())
        told = (read_json(folder / SPOILT) or {}).get("packages")
        spoilt = sorted(lock.stack.keys() & {str(each) for each in told}) if isinstance(told, list) else []
        try:
            install(
                folder,
                interpreter,
                requirements,
                lock.stack,
                limits,
                allow_source=allow_source,
                spoilt=spoilt,
                sources=lock.source_arguments,
            )
            sync_file_system(folder)
        except BaseException as error:
            with suppress(OSError):  # without its marker it is nothing, and the next to build it removes it
                remove_tree(folder)
            if isinstance(error, OSError):
                raise UvFailure("disk", str(error)) from error
            raise
        finally:
            requirements.unlink(missing_ok=True)
        seconds = round(time.monotonic() - started, 3)
        write_atomically(folder / MARKER, json.dumps({"lock": lock.name, "seconds": seconds}), durable=True)
        return Environment(folder, seconds, reused=False)

    def _demand_space(self) -> None:
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE:
            raise UvFailure(
                "disk",
                f"{free / 1024**3:.1f} GiB free in {self.root.name}, {LEAST_FREE / 1024**3:.0f} GiB are needed to "
                "install a stack; 'lmdeploy-harness gc' removes environments that are no longer used",
            )

    def differences(self, lock: Lock) -> Mapping[str, str | None]:  # noqa: ARG002 - other environments have some
        """What is there in another version than the lock's: nothing, since environments are installed from it."""
        return {}

    def remove(self, name: str) -> None:
        """Delete the environment of that lock name, waiting for whoever builds it."""
        with FileLock(self.root / f"{name}.lock"):
            with suppress(FileNotFoundError):
                (self.root / name / MARKER).unlink()  # first: a half-deleted one is never taken for whole
            remove_tree(self.root / name)

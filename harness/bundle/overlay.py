"""Environments on a host that brings packages of its own: a folder of carried wheels in front of them.

Such an environment is not its lock. What differs is read from the environment itself, after it is built, and goes into
every record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
import zlib
from dataclasses import dataclass, field, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from filelock import FileLock
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.sources import WheelFile
from packaging.utils import canonicalize_name, parse_wheel_filename

from harness.core.files import read_json, sync_file_system, write_atomically
from harness.core.untrusted_files import remove_tree
from harness.environments.environment import MARKER, Environment, Environments
from harness.environments.resolve import Resolution, Resolver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.bundle.manifest import Manifest
    from harness.environments.lock import Lock
    from harness.environments.resolve import Asked, ResolveRequest
    from harness.process.child import Limits

HOST_PATH = "harness-host.pth"
MOST_NAMED = 4
"""Files by name in what a record says was left out of a package; the others are counted."""


@dataclass(frozen=True, slots=True)
class PackedResolver(Resolver):
    """Answers with the locks that travelled; asks nobody."""

    packed: Mapping[Asked, Lock] = field(default_factory=dict)

    def recall(self, request: ResolveRequest) -> Resolution | None:
        """The packed lock for that request."""
        lock = self.packed.get(request.asked)
        return None if lock is None else Resolution(lock, None, 0.0, reused=True)


@dataclass(frozen=True, slots=True)
class OverlayEnvironments(Environments):
    """Environments made of carried wheels and, where ``use_host`` says so, the host's packages behind them."""

    bundle: Path
    manifest: Manifest
    use_host: bool = True

    def find(self, lock: Lock) -> Environment | None:
        """The finished environment of ``lock``, or None."""
        found = Environments.find(self, lock)
        if found is None:
            return None
        return replace(found, variables=self._library_path(found.folder), behind=self._folders(), complete=False)

    def build(
        self,
        lock: Lock,
        interpreter: Path,
        limits: Limits,  # noqa: ARG002 - it takes seconds
        *,
        allow_source: tuple[str, ...] = (),  # noqa: ARG002 - wheels travelled, sources did not
    ) -> Environment:
        """The environment of ``lock``, laid out unless it is finished already.

        Raises:
            OSError: a wheel cannot be read, or the disk is full.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{lock.name}.lock"):
            found = self.find(lock)
            return found if found is not None else self._lay_out(lock, interpreter)

    def differences(self, lock: Lock) -> Mapping[str, str | None]:
        """Locked packages that are there in another version, or (None) not at all."""
        marker = read_json(self.folder(lock) / MARKER)
        return {} if marker is None else dict(marker["differences"])

    def _lay_out(self, lock: Lock, interpreter: Path) -> Environment:
        folder = self.folder(lock)
        remove_tree(folder)
        started = time.monotonic()
        made = subprocess.run(
            [interpreter, "-m", "venv", "--without-pip", folder], check=False, capture_output=True, text=True
        )
        if made.returncode:
            said = (made.stderr or made.stdout).strip().splitlines()
            raise OSError(f"{interpreter} made no environment in {folder}: {said[-1] if said else made.returncode}")
        site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        scheme = dict.fromkeys(("purelib", "platlib"), str(site))
        scheme |= {"scripts": str(folder / "bin"), "data": str(folder), "headers": str(folder / "include")}
        python = str(folder / "bin" / "python")
        for name in self.manifest.stacks[lock.name].wheels:
            target = SchemeDictionaryDestination(scheme, interpreter=python, script_kind="posix")
            _install_wheel(self.bundle / "wheels" / Path(name).name, target)
        (site / HOST_PATH).write_text("".join(f"{path}\n" for path in self._behind()))
        differences = self._differences(lock, site)
        seconds = round(time.monotonic() - started, 3)
        told = {"lock": lock.name, "seconds": seconds, "differences": differences}
        sync_file_system(folder)
        write_atomically(folder / MARKER, json.dumps(told), durable=True)
        return Environment(
            folder, seconds, reused=False, variables=self._library_path(folder), behind=self._folders(), complete=False
        )

    def _behind(self) -> list[str]:
        """Package folders that an environment falls back on."""
        lent = [str(self.bundle / "lent")] if self.manifest.lent else []
        return [*lent, *(host_paths() if self.use_host else [])]

    def _folders(self) -> tuple[Path, ...]:
        """What its children have to see: the host's packages belong to the interpreter that runs this."""
        return (*map(Path, self._behind()), *([Path(sys.prefix)] if self.use_host else []))

    def _library_path(self, folder: Path) -> dict[str, str]:
        """CUDA libraries among the carried wheels have to be found before the host's torch looks for its own."""
        places = [*folder.glob("lib/python*/site-packages"), self.bundle / "lent"]
        found = sorted({str(each.parent) for place in places for each in place.glob("nvidia/*/lib/*.so*")})
        inherited = os.environ.get("LD_LIBRARY_PATH")
        return {"LD_LIBRARY_PATH": ":".join([*found, *([inherited] if inherited else [])])} if found else {}

    def _differences(self, lock: Lock, site: Path) -> dict[str, str | None]:
        there: dict[str, str] = {}
        for place in [str(site), *self._behind()]:
            for each in distributions(path=[place]):
                there.setdefault(str(canonicalize_name(each.metadata["Name"])), each.version)
        trimmed = {
            str(parse_wheel_filename(name)[0]): files for name, files in self.manifest.stacks[lock.name].trimmed.items()
        }
        found: dict[str, str | None] = {}
        for name, version in lock.stack.items():
            present = there.get(name)
            if name in trimmed and present is not None:
                found[name] = f"{present} without {_some(trimmed[name])}"
            elif present != version:
                found[name] = present
        if self.manifest.card is not None:
            found["machine code"] = f"for cards of capability {self.manifest.card / 10:.1f} alone"
        return found


def _some(files: Sequence[str]) -> str:
    """The first of them by name, and how many more there are."""
    more = len(files) - MOST_NAMED
    return ", ".join(files[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


_DAMAGE = (BadZipFile, zlib.error, EOFError, InstallerError, ValueError, KeyError, NotImplementedError)
"""What reading a broken wheel raises; the last is for a compression that nothing knows."""


def _install_wheel(path: Path, target: SchemeDictionaryDestination) -> None:
    """Lay out one wheel; no member of it lands outside.

    Raises:
        OSError: it is damaged, or the disk is full.
    """
    try:
        with WheelFile.open(path) as wheel:
            install(wheel, target, additional_metadata={"INSTALLER": b"harness"})
    except _DAMAGE as error:
        raise OSError(f"the carried wheel {path.name} is damaged ({error}); unpack the bundle again") from error


def host_paths() -> list[str]:
    """The package folders of the interpreter that runs this."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))

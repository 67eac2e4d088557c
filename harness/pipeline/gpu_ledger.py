"""What is promised of each GPU's memory, and to whom: one file for each promise, locked by whoever it is made to.

The system gives such a lock back when its process ends, however that ends, so a promise whose lock can be had counts no
more. Process numbers and times would not do: containers that share a home each have their own. A card is named by its
UUID, so hosts that share a home have cards of their own.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.untrusted_files import read_untrusted

if sys.platform != "win32":  # where nothing runs that could be promised anything
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_ENDING = ".promise"
_MOST_BYTES = 4096


class Promise(BaseModel):
    """Memory of a card that somebody may use."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mib: int = Field(ge=0)
    alone: bool
    """Nobody else may be on the card."""


UNKNOWN = Promise(mib=0, alone=True)
"""What counts for a promise that somebody holds and nobody can read: the card is taken."""


@dataclass(frozen=True, slots=True)
class GpuLedger:
    """The promises in one folder, which all harnesses of a user share."""

    folder: Path

    @contextmanager
    def of_card(self, card: str) -> Iterator[CardLedger]:
        """What is promised of one card; nobody else looks at it or adds to it meanwhile.

        Raises:
            OSError: the folder cannot be used.
        """
        name = re.sub(r"[^\w-]", "_", card)
        self.folder.mkdir(parents=True, exist_ok=True)
        guard = self.folder / f"{name}.lock"
        guard.touch()  # where no file can be, a lock would be waited for without end
        with FileLock(guard):
            yield CardLedger(self.folder / name)


@dataclass(frozen=True, slots=True)
class CardLedger:
    """The promises of one card."""

    folder: Path

    def promises(self) -> Sequence[Promise]:
        """Those whose owners live; those of the dead are removed."""
        if not self.folder.is_dir():
            return []
        found = [_living(self.folder, each.name) for each in self.folder.glob(f"*{_ENDING}")]
        return [each for each in found if each is not None]

    def add(self, promise: Promise) -> HeldPromise:
        """Make a promise to this process.

        Raises:
            OSError: the folder cannot be used.
        """
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"{uuid.uuid4().hex}{_ENDING}"
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, json.dumps(promise.model_dump()).encode())
        except BaseException:
            os.close(descriptor)
            file.unlink(missing_ok=True)
            raise
        return HeldPromise(file, descriptor)


@dataclass(frozen=True, slots=True)
class HeldPromise:
    """One that was made to this process."""

    file: Path
    descriptor: int

    def give_back(self) -> None:
        """End it; the card is free for others."""
        self.file.unlink(missing_ok=True)
        os.close(self.descriptor)


def _living(folder: Path, name: str) -> Promise | None:
    """The promise, unless its owner is gone; then it is removed."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None  # given back in this moment, or nothing that a harness makes
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            with suppress(OSError):  # a folder of that name is in nobody's way
                (folder / name).unlink(missing_ok=True)
            return None
    finally:
        os.close(descriptor)
    try:
        return Promise.model_validate_json(read_untrusted(folder, name, _MOST_BYTES) or b"")
    except ValidationError:
        return UNKNOWN

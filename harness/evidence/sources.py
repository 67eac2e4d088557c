"""The records that are here: this machine's own, those taken over from others, and the reference runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.files import read_json
from harness.environments.lock import InvalidLock, Lock
from harness.evidence.predictions import Predictions
from harness.evidence.sightings import Sighting
from harness.evidence.soundness import flaw
from harness.evidence.stacks import Knowledge
from harness.results.store import RECORD_FILE, ResultStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.core.records import Record
    from harness.evidence.subjects import Subject

IMPORTED = "imported"
FAMILIES = ("reference", IMPORTED)
"""Folders in a reports folder that hold other machines' reports folders."""
LOCK = "pylock.toml"


@dataclass(frozen=True, slots=True)
class Source:
    """One folder of records."""

    folder: Path
    name: str = ""
    """Empty: this machine's own."""
    attempts: Sequence[Record] = ()
    """Those that can be true."""
    doubtful: tuple[str, ...] = ()
    """Of every record that contradicts itself: its id, and how."""

    @property
    def sightings(self) -> list[Sighting]:
        """Its records as evidence."""
        return [Sighting(each, self.name) for each in self.attempts]


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them, this machine's own first."""

    all: tuple[Source, ...] = ()
    _locks: dict[str, Lock | None] = field(default_factory=dict)

    @classmethod
    def of(cls, reports: Path, *more: Path) -> Sources:
        """Read what is in a reports folder, in its ``reference/`` and ``imported/``, and in further folders."""
        found = [_sound(reports, "")]
        for family in FAMILIES:
            for folder in sorted((reports / family).glob("*")):
                found += _source(folder, f"{family}/{folder.name}")
        for folder in more:
            found += _source(folder, folder.name)
        return cls(tuple(found))

    def with_own(self, store: ResultStore) -> Sources:
        """The same, with what this machine's records say by now."""
        own = _sound(store.folder, "", store)
        return Sources((own, *(each for each in self.all if each.name)))

    def lock_files(self, here: Path) -> dict[str, Path]:
        """Where other machines' locks are kept, by name, as seen from a folder where it is above them."""
        found: dict[str, Path] = {}
        for each in self.all:
            if each.name:
                for file in each.folder.glob(f"locks/*/{LOCK}"):
                    place = file.absolute()
                    found.setdefault(file.parent.name, place.relative_to(here) if place.is_relative_to(here) else place)
        return found

    def knowledge(self, subjects: Mapping[str, Subject]) -> Knowledge:
        """What all of them tell."""
        maps = [content for each in self.all if (content := read_json(each.folder / "scan.json")) is not None]
        sightings = (sighting for each in self.all for sighting in each.sightings)
        return Knowledge.of(subjects, sightings, Predictions.of_maps(maps))

    @property
    def doubtful(self) -> list[str]:
        """Records that were left out since they cannot be true."""
        return [line for each in self.all for line in each.doubtful]

    def lock(self, name: str | None) -> Lock | None:
        """The kept lock of that name, from whichever place has it whole; None: nobody kept it."""
        if name is None:
            return None
        if name not in self._locks:
            kept = (_read(each.folder / "locks" / name / LOCK, name) for each in self.all)
            self._locks[name] = next((each for each in kept if each is not None), None)
        return self._locks[name]


def _source(folder: Path, name: str) -> list[Source]:
    if not (folder / RECORD_FILE).is_file():
        return []
    return [_sound(folder, name)]


def _sound(folder: Path, name: str, store: ResultStore | None = None) -> Source:
    """What can be true of the records in a folder, and is no made-up sample."""
    attempts: list[Record] = []
    doubtful: list[str] = []
    for each in (store or ResultStore(folder)).attempts():
        if each.synthetic:
            continue
        wrong = flaw(each)
        if wrong:
            doubtful.append(f"{folder.name}/{RECORD_FILE}: {each.id}, attempt {each.attempt}: {wrong}")
        else:
            attempts.append(each)
    return Source(folder, name, attempts, tuple(doubtful))


def _read(file: Path, name: str) -> Lock | None:
    """The lock, if its bytes are those that the name stands for."""
    if not file.is_file():
        return None
    lock = Lock(file.read_text(encoding="utf-8", errors="replace"))
    try:
        return lock if lock.name == name and lock.stack else None
    except InvalidLock:
        return None

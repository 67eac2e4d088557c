"""GPUs as a resource: who may boot where, and what really happens on the card meanwhile.

A ledger says how much of each GPU's memory is promised; every harness of the user uses the same one, so parallel
sessions never promise the same memory twice. ``CUDA_VISIBLE_DEVICES`` is respected: GPUs it hides do not exist here.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pynvml
from platformdirs import user_state_path

from harness.pipeline.gpu_ledger import GpuLedger, Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import JsonValue

    from harness.pipeline.gpu_ledger import HeldPromise

LEASE_VARIABLE = "HARNESS_GPU_LEASE"
"""Environment variable by which a process on the GPU is known as a lease's own, orphans included."""
SAMPLE_SECONDS = 0.1
MOST_SAMPLES = 120
"""Points that a record keeps of the memory over time."""
WAIT_SECONDS = 0.5
MIB = 2**20


class Owner(Enum):
    """Whose a process is that no lease's token names."""

    NOBODY = auto()
    """It runs outside this harness, or cannot be asked."""
    GONE = auto()
    """It is ending, or has ended."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process holds on a GPU."""

    pid: int
    mib: int


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU, and how to ask about it."""

    uuid: str
    total_mib: int
    usage: Callable[[], list[Usage]]
    """What the processes on it hold now."""


@dataclass
class Curve:
    """Memory over time in a bounded number of points: each is the most that was held in its share of the time."""

    points: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, and MiB."""
    _step: float = SAMPLE_SECONDS

    def add(self, seconds: float, mib: int) -> None:
        """One more sample, later than those before it."""
        if self.points and seconds < self.points[-1][0] + self._step:
            self.points[-1] = (self.points[-1][0], max(self.points[-1][1], mib))
            return
        self.points.append((round(seconds, 2), mib))
        if len(self.points) > MOST_SAMPLES:
            self._step *= 2
            kept, self.points = self.points, []
            for each in kept:
                self.add(*each)


@dataclass
class Lease:
    """A promise of memory on each of some cards, with what was seen on them while it held."""

    cards: tuple[Card, ...]
    budget_mib: int
    """On each card."""
    token: str
    alone: bool
    """Nobody else of the harness was on the cards."""
    peaks_mib: list[int] = field(default_factory=list)
    """The most that was held, by card."""
    foreign: set[int] = field(default_factory=set)
    """Processes on the cards that no lease accounts for."""
    curve: Curve = field(default_factory=Curve)
    """What its own processes held on the card that held most."""
    _began: float = field(default_factory=time.monotonic)
    _owners: dict[int, str | Owner] = field(default_factory=dict)
    """Whose a process was when it was first seen: a process that ends, or renames itself, loses its environment."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment of the children that use it."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(card.uuid for card in self.cards), LEASE_VARIABLE: self.token}

    @property
    def peak_mib(self) -> int:
        """The most that was held on any card."""
        return max(self.peaks_mib, default=0)

    def facts(self) -> dict[str, JsonValue]:
        """What goes into the record, MiB."""
        return {
            "budget_mib": self.budget_mib,
            "peak_mib": self.peak_mib,
            "fits": self.peak_mib <= self.budget_mib,
            "card_mib": min(card.total_mib for card in self.cards),
            "alone": self.alone,
            "foreign_processes": len(self.foreign),
            "tainted": bool(self.foreign) or not self.alone,
            "held_mib": [[seconds, mib] for seconds, mib in self.curve.points],
            **({"peak_mib_by_card": list(self.peaks_mib)} if len(self.cards) > 1 else {}),
        }

    def look(self) -> None:
        """Take one sample of the cards."""
        held = [self._held(card) for card in self.cards]
        self.peaks_mib = [max(pair) for pair in zip(self.peaks_mib or held, held, strict=True)]
        self.curve.add(time.monotonic() - self._began, max(held))

    def _held(self, card: Card) -> int:
        """What its own processes hold on one of them; takes note of the others'."""
        own = 0
        for each in card.usage():
            owner = self._owners.get(each.pid) or owner_of(each.pid)
            if owner is Owner.GONE:
                continue
            self._owners[each.pid] = owner
            if owner == self.token:
                own += each.mib
            elif owner is Owner.NOBODY:
                self.foreign.add(each.pid)
            else:
                self.alone = False
        return own


@dataclass(frozen=True)
class GpuPool:
    """The cards of this machine and the ledger of what is promised."""

    cards: tuple[Card, ...]
    folder: Path

    @contextmanager
    def lease(self, budget_mib: int, *, cards: int = 1, alone: bool = False) -> Iterator[Lease]:
        """Memory on some cards, for as long as the context lasts; waits for it.

        Args:
            budget_mib: what the boot may use on each.
            cards: how many it needs, at most those that there are.
            alone: nobody else of the harness may be on them, because times are measured.
        """
        token = uuid.uuid4().hex
        found, promises = self._wait_for(Promise(mib=budget_mib, alone=alone), cards)
        lease = Lease(found, budget_mib, token, alone=True)
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(lease, done), daemon=True)
        watcher.start()
        try:
            yield lease
        finally:
            done.set()
            watcher.join()
            for promise in promises:
                promise.give_back()

    def _wait_for(self, wanted: Promise, count: int) -> tuple[tuple[Card, ...], list[HeldPromise]]:
        while True:
            found: list[tuple[Card, HeldPromise]] = []
            for card in self.cards:
                held = self._promise(card, wanted) if len(found) < count else None
                found += [(card, held)] if held is not None else []
            if len(found) == count:
                return tuple(card for card, _ in found), [held for _, held in found]
            for _, held in found:  # too few: nobody waits holding what another one waits for
                held.give_back()
            time.sleep(WAIT_SECONDS)

    def _promise(self, card: Card, wanted: Promise) -> HeldPromise | None:
        """The memory on that card; None where there is no room for it."""
        with GpuLedger(self.folder).of_card(card.uuid) as ledger:
            promised = ledger.promises()
            if any(each.alone for each in promised) or (wanted.alone and promised):
                return None
            room = card.total_mib - sum(each.mib for each in promised) - self._foreign(card)
            return ledger.add(wanted) if wanted.mib <= room or not promised else None

    @staticmethod
    def _foreign(card: Card) -> int:
        return sum(each.mib for each in card.usage() if owner_of(each.pid) is Owner.NOBODY)


def gpus_of_this_machine() -> GpuPool:
    """The cards that ``CUDA_VISIBLE_DEVICES`` leaves visible, and the user's ledger."""
    return GpuPool(tuple(_cards()), user_state_path("lmdeploy-harness") / "gpus")


def _cards() -> Iterator[Card]:
    from harness.core.machine import device_uuids, visible_devices  # noqa: PLC0415 - machine reads records, which nothing here needs

    try:
        pynvml.nvmlInit()  # stays open: cards are asked as long as this process lives
    except pynvml.NVMLError:
        return
    uuids = device_uuids()
    for index in visible_devices(uuids):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        total = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // MIB
        yield Card(uuids[index], total, _NvmlUsage(handle))


@dataclass(frozen=True)
class _NvmlUsage:
    handle: object

    def __call__(self) -> list[Usage]:
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(self.handle)
        return [Usage(int(each.pid), int(each.usedGpuMemory or 0) // MIB) for each in processes]


def _watch(lease: Lease, done: threading.Event) -> None:
    while not done.wait(SAMPLE_SECONDS):
        lease.look()


def owner_of(pid: int) -> str | Owner:
    """The token of the lease that a process belongs to, by its own environment or that of a process above it."""
    try:
        process = psutil.Process(pid)
        if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} or not process.cmdline():
            return Owner.GONE
        for each in [process, *process.parents()]:
            token = _token(each.pid)
            if token is not None:
                return token
    except psutil.NoSuchProcess:
        return Owner.GONE
    except psutil.AccessDenied:
        return Owner.NOBODY
    return Owner.NOBODY


def _token(pid: int) -> str | None:
    """The token in a process's own environment; None when there is none or it may not be read."""
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == LEASE_VARIABLE.encode():
                return value.decode()
    return None

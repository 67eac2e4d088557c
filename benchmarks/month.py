"""A month of 1,000,000 combinations on 100 GPU hosts, simulated: ``python -m benchmarks.month [--hosts 100]``.

A discrete-event simulation: pieces of work that share a stack arrive evenly over 30 days; hosts take them, fetch and
install the stack unless it is in their cache (the least recently used goes when the cache is full), climb its
combinations on their cores, boot those that get so far on their GPUs, and hand each result to the one driver, which
takes them one after another.

What was measured is read from where it was: the times and sizes from the records of the two reference runs, what the
harness itself adds from ``benchmarks/executors.json``. What was not measured is a constant below that says so.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import simpy

from harness.core.verdict import Status, Verdict
from harness.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from harness.core.records import Record

COMBINATIONS = 1_000_000
MONTH = 30 * 86400.0
REFERENCE = Path(__file__).parent.parent / "reports" / "reference"
_MEASURED = Path(__file__).with_name("executors.json")
_RAY = json.loads(_MEASURED.read_text()).get("ray", {}).get("again", {}) if _MEASURED.exists() else {}
OVERHEAD = _RAY.get("beyond_start_ms", 0.0) / 1000
"""Core-seconds on the node that the harness and Ray add to a combination whose answers are kept; 0: not measured."""
DRIVER = OVERHEAD / _RAY.get("workers", 1)
"""Seconds of the driver for a result: the measured run handed over one in that time, so it takes no longer."""
# assumed, not measured here
COLD_BYTES = 3 * 2**30
"""What a host that shares nothing yet has to fetch for a CUDA stack."""
SHARED = 0.9
"""Share of a stack's files that a host with other stacks has already."""
FAST, SLOW = 1.25e9, 0.125e9
"""Bytes a second from the mirror, all hosts together: 10 and 1 Gbit/s."""
GPUS, CORES, CACHED = 8, 64, 200
"""Of a host: GPUs, cores, and stacks that its disk holds."""
STACKS = 4_000
"""Distinct stacks in the month: what is asked again has the same lock."""
HOUR_GPU, HOUR_HOST = 2.0, 3.0
"""Money for an hour of one GPU, and of a host without its GPUs."""

CLIMBING = ("import", "configure", "preprocess", "emulate")
BOOTING = ("boot", "see", "structure")
WANTING = ("blocked/boot/", "blocked/preprocess/weights")
"""How the verdicts begin of what only a GPU or weights were wanting for."""


@dataclass(frozen=True)
class Measured:
    """What the reference runs took; seconds and bytes are means."""

    combinations: int
    """Of the CPU's run, those that its matrix does not exclude."""
    stacks: int
    resolve: float
    install: float
    """Of a stack, its files in the package cache."""
    climb: float
    """Of a combination, ``CLIMBING`` together, those that got nowhere included."""
    boots: float
    """Share of the combinations that gets as far as a boot: passes, and ``WANTING``."""
    boot: float
    """Of a combination on a GPU, both passes included."""
    record: float
    record_of_boot: float

    @classmethod
    def read(cls, reference: Path = REFERENCE) -> Measured:
        """From the records of both reference runs."""
        tried = [each for each in ResultStore(reference / "cpu").records() if _status(each) is not Status.SKIPPED]
        gpu = [each for each in ResultStore(reference / "gpu").records() if _seconds(each, BOOTING)]
        installed = [each for each in tried if _seconds(each, ("install",))]
        booting = [each for each in tried if _status(each) is Status.PASS or each.verdict.startswith(WANTING)]
        return cls(
            combinations=len(tried),
            stacks=len({each.lock for each in installed}),
            resolve=fmean(_seconds(each, ("resolve",)) for each in tried),
            install=fmean(_seconds(each, ("install",)) for each in installed),
            climb=fmean(_seconds(each, CLIMBING) for each in tried),
            boots=len(booting) / len(tried),
            boot=fmean(_seconds(each, BOOTING) for each in gpu),
            record=fmean(len(each.model_dump_json()) for each in tried),
            record_of_boot=fmean(len(each.model_dump_json()) for each in gpu),
        )


def _status(record: Record) -> Status:
    return Verdict.parse(record.verdict).status


def _seconds(record: Record, stages: tuple[str, ...]) -> float:
    return sum(each.seconds for each in record.stages if each.stage in stages)


@dataclass(frozen=True)
class Scenario:
    """What differs between the months."""

    name: str
    near: bool = False
    """Work goes to where its stack is, unless that host is busier."""
    new: bool = False
    """Every piece of work has a stack that nobody has seen: no cache helps."""
    shared: float = SHARED
    link: float = FAST


SCENARIOS = (
    Scenario("to the least busy host"),
    Scenario("to where its stack is", near=True),
    Scenario("every stack is new", new=True),
    Scenario("new, nothing shared", new=True, shared=0.0),
    Scenario("new, nothing shared, 1 Gbit/s", new=True, shared=0.0, link=SLOW),
)


class Host:
    """Cores, GPUs and a cache of stacks."""

    def __init__(self, simulation: simpy.Environment) -> None:
        self.cores = simpy.Resource(simulation, CORES)
        self.gpus = simpy.Resource(simulation, GPUS)
        self.stacks: OrderedDict[int, None] = OrderedDict()
        self.pending = 0


class Month:
    """One simulated month."""

    def __init__(self, scenario: Scenario, measured: Measured, hosts: int, combinations: int, seed: int = 0) -> None:
        self.measured = measured
        self.scenario, self.combinations = scenario, combinations
        self.pieces = round(combinations * measured.stacks / measured.combinations)
        self.simulation = simpy.Environment()
        self.link = simpy.Resource(self.simulation, 1)
        self.driver = simpy.Resource(self.simulation, 1)
        self.hosts = [Host(self.simulation) for _ in range(hosts)]
        self.source = random.Random(seed)  # noqa: S311 - a fixed seed, so that the figures can be repeated
        self.fetched = self.core_seconds = self.gpu_seconds = self.link_seconds = self.driver_seconds = 0.0
        self.hits = self.done = 0
        self.waits: list[float] = []
        """Of each piece of work, from when it was asked for to when its stack was there."""

    def run(self) -> None:
        """To the last combination."""
        self.simulation.process(self._arrive())
        self.simulation.run()

    def _arrive(self) -> Generator[simpy.Event, Any, None]:
        for number in range(self.pieces):
            yield self.simulation.timeout(MONTH / self.pieces)
            # few stacks are asked for often
            often = min(int(self.source.paretovariate(0.6)), STACKS)
            stack = STACKS + 1 + number if self.scenario.new else often
            before, after = (self.combinations * each // self.pieces for each in (number, number + 1))
            self.simulation.process(self._work(stack, after - before))

    def _choose(self, stack: int) -> Host:
        least = min(self.hosts, key=lambda host: host.pending)
        holders = [host for host in self.hosts if stack in host.stacks] if self.scenario.near else []
        nearest = min(holders, key=lambda host: host.pending, default=least)
        return nearest if nearest.pending <= least.pending + 2 else least

    def _work(self, stack: int, count: int) -> Generator[simpy.Event, Any, None]:
        host, asked = self._choose(stack), self.simulation.now
        host.pending += 1
        with host.cores.request() as core:
            yield core
            began = self.simulation.now
            if stack in host.stacks:
                host.stacks.move_to_end(stack)
                self.hits += 1
            else:
                yield from self._install(host, stack)
            self.waits.append(self.simulation.now - asked)
            yield self.simulation.timeout((self.measured.climb + OVERHEAD) * count)
            self.core_seconds += self.simulation.now - began
        for _ in range(sum(self.source.random() < self.measured.boots for _ in range(count))):
            with host.gpus.request() as gpu:
                yield gpu
                yield self.simulation.timeout(self.measured.boot)
                self.gpu_seconds += self.measured.boot
        with self.driver.request() as driver:
            yield driver
            yield self.simulation.timeout(DRIVER * count)
            self.driver_seconds += DRIVER * count
        self.done += count
        host.pending -= 1

    def _install(self, host: Host, stack: int) -> Generator[simpy.Event, Any, None]:
        size = COLD_BYTES * (1 - self.scenario.shared if host.stacks else 1)
        with self.link.request() as line:
            yield line
            yield self.simulation.timeout(size / self.scenario.link)
        self.fetched += size
        self.link_seconds += size / self.scenario.link
        yield self.simulation.timeout(self.measured.resolve + self.measured.install)
        host.stacks[stack] = None
        if len(host.stacks) > CACHED:
            host.stacks.popitem(last=False)


def main() -> None:
    """Simulate each scenario, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--combinations", type=int, default=COMBINATIONS)
    wanted = parser.parse_args()
    measured = Measured.read()
    print(measured)
    for scenario in SCENARIOS:
        month = Month(scenario, measured, wanted.hosts, wanted.combinations)
        month.run()
        now = month.simulation.now
        cores, gpus = wanted.hosts * CORES * now, wanted.hosts * GPUS * now
        money = (month.gpu_seconds / 3600) * HOUR_GPU + (month.core_seconds / CORES / 3600) * HOUR_HOST
        waits = sorted(month.waits)
        print(scenario.name)
        print(f"  {month.done:,} combinations in {now / 86400:.2f} days, {month.done / now:.2f} a second")
        print(f"  cores busy {month.core_seconds / cores:.2%}, GPUs busy {month.gpu_seconds / gpus:.2%}")
        print(f"  installed already {month.hits / month.pieces:.1%}, {month.fetched / 1e12:.1f} TB fetched")
        print(f"  mirror busy {month.link_seconds / now:.2%}, driver busy {month.driver_seconds / now:.2%}")
        print(f"  until the stack is there: median {waits[len(waits) // 2]:.0f} s, longest {waits[-1]:.0f} s")
        print(f"  records {month.done * (measured.record + measured.boots * measured.record_of_boot) / 1e9:.1f} GB")
        print(f"  used hours cost {money:,.0f}, {1000 * money / month.done:.1f} for 1,000 combinations")
    told = f"{OVERHEAD:.3f} core-seconds a combination" if _RAY else "not measured, left out"
    print(f"what the harness and Ray add: {told}")


if __name__ == "__main__":
    main()

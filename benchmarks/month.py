"""A month of 1,000,000 combinations on 100 GPU hosts, simulated: ``python -m benchmarks.month [--hosts 100]``.

A discrete-event simulation: pieces of work that share a stack arrive evenly over 30 days; hosts take them, fetch and
install the stack unless it is in their cache (the least recently used goes when the cache is full), climb its
combinations on their cores, and boot those that get so far on their GPUs. Every parameter is a constant below with the
place it was measured; what was not measured says so.
"""

from __future__ import annotations

import argparse
import random
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import simpy

if TYPE_CHECKING:
    from collections.abc import Generator

COMBINATIONS = 1_000_000
MONTH = 30 * 86400.0
# reports/reference/cpu: 260 combinations, 25 stacks; seconds are means over the records, on two cores
PER_STACK = 260 / 25
RESOLVE, INSTALL, CLIMB = 1.7, 1.9, 18.1
"""Seconds: uv's answer; a stack from a warm package cache; import, configure and preprocess of one combination."""
BOOTING = 91 / 260
"""Share that gets as far as a boot: passes, and what was blocked there or for want of weights."""
RECORD_BYTES = 6_223
"""1,618,084 bytes in 260 records."""
# assumed, not measured here
STACK_BYTES, COLD_BYTES = 6 * 2**30, 3 * 2**30
"""A CUDA stack on the disk, as the harness plans for it; what of it a host has to fetch that shares nothing yet."""
SHARED = 0.9
"""Share of a stack's files that a host with other stacks has already."""
LINK = 1.25e9
"""Bytes a second from the mirror, all hosts together: 10 Gbit/s."""
BOOT = 60.0
"""Seconds on a GPU, both passes included."""
GPUS, CORES, CACHED = 8, 64, 200
"""Of a host: GPUs, cores, and stacks that its disk holds."""
STACKS = 4_000
"""Distinct stacks in the month: what is asked again has the same lock."""
HOUR_GPU, HOUR_HOST = 2.0, 3.0
"""Money for an hour of one GPU, and of a host without its GPUs."""


class Host:
    """Cores, GPUs and a cache of stacks."""

    def __init__(self, simulation: simpy.Environment) -> None:
        self.cores = simpy.Resource(simulation, CORES)
        self.gpus = simpy.Resource(simulation, GPUS)
        self.stacks: OrderedDict[int, None] = OrderedDict()
        self.pending = 0


class Month:
    """One simulated month."""

    def __init__(self, hosts: int, pieces: int, *, near: bool, seed: int = 0) -> None:
        self.simulation = simpy.Environment()
        self.link = simpy.Resource(self.simulation, 1)
        self.hosts = [Host(self.simulation) for _ in range(hosts)]
        self.source = random.Random(seed)  # noqa: S311 - a fixed seed, so that the figures can be repeated
        self.pieces, self.near = pieces, near
        self.fetched = self.core_seconds = self.gpu_seconds = self.link_seconds = 0.0
        self.hits = self.done = 0
        self.waits: list[float] = []

    def run(self) -> None:
        """To the last combination."""
        self.simulation.process(self._arrive())
        self.simulation.run()

    def _arrive(self) -> Generator[simpy.Event, Any, None]:
        for _ in range(self.pieces):
            yield self.simulation.timeout(MONTH / self.pieces)
            stack = min(int(self.source.paretovariate(0.6)), STACKS)  # few stacks are asked for often
            self.simulation.process(self._work(stack))

    def _choose(self, stack: int) -> Host:
        least = min(self.hosts, key=lambda host: host.pending)
        holders = [host for host in self.hosts if stack in host.stacks] if self.near else []
        nearest = min(holders, key=lambda host: host.pending, default=least)
        return nearest if nearest.pending <= least.pending + 2 else least

    def _work(self, stack: int) -> Generator[simpy.Event, Any, None]:
        host, asked = self._choose(stack), self.simulation.now
        host.pending += 1
        with host.cores.request() as core:
            yield core
            self.waits.append(self.simulation.now - asked)
            began = self.simulation.now
            if stack in host.stacks:
                host.stacks.move_to_end(stack)
                self.hits += 1
            else:
                size = COLD_BYTES * (1 - SHARED if host.stacks else 1)
                with self.link.request() as line:
                    yield line
                    yield self.simulation.timeout(size / LINK)
                self.fetched += size
                self.link_seconds += size / LINK
                yield self.simulation.timeout(RESOLVE + INSTALL)
                host.stacks[stack] = None
                if len(host.stacks) > CACHED:
                    host.stacks.popitem(last=False)
            count = round(PER_STACK)
            yield self.simulation.timeout(CLIMB * count)
            self.core_seconds += self.simulation.now - began
        for _ in range(sum(self.source.random() < BOOTING for _ in range(count))):
            with host.gpus.request() as gpu:
                yield gpu
                yield self.simulation.timeout(BOOT)
                self.gpu_seconds += BOOT
        self.done += count
        host.pending -= 1


def main() -> None:
    """Simulate with and without sending work to where its stack is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--combinations", type=int, default=COMBINATIONS)
    wanted = parser.parse_args()
    for near in (False, True):
        month = Month(wanted.hosts, round(wanted.combinations / PER_STACK), near=near)
        month.run()
        days = month.simulation.now / 86400
        cores, gpus = wanted.hosts * CORES * month.simulation.now, wanted.hosts * GPUS * month.simulation.now
        money = (month.gpu_seconds / 3600) * HOUR_GPU + (month.core_seconds / CORES / 3600) * HOUR_HOST
        print("work goes where its stack is" if near else "work goes to the least busy host")
        print(f"  {month.done:,} combinations in {days:.1f} days, {month.done / days / 86400:.2f} a second")
        print(f"  cores busy {month.core_seconds / cores:.2%}, GPUs busy {month.gpu_seconds / gpus:.2%}")
        print(f"  cache: {month.hits / month.pieces:.1%} hits, {month.fetched / 1e12:.2f} TB fetched")
        print(f"  link busy {month.link_seconds / month.simulation.now:.2%}")
        print(f"  longest wait for a core {max(month.waits):.0f} s")
        print(f"  records {month.done * RECORD_BYTES / 1e9:.1f} GB")
        print(f"  used hours cost {money:,.0f}, {1000 * money / month.done:.1f} for 1,000 combinations")


if __name__ == "__main__":
    main()

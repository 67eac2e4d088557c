"""What a lease tells of its card."""

from __future__ import annotations

import os

from harness.gpus import LEASE_VARIABLE, MOST_SAMPLES, Card, Curve, Lease, Usage


def test_a_curve_stays_bounded_and_keeps_its_peaks() -> None:
    curve = Curve()
    for tick in range(20_000):
        curve.add(tick / 10, 5000 if tick == 12_345 else 100 + tick // 1000)
    assert MOST_SAMPLES / 2 <= len(curve.points) <= MOST_SAMPLES
    assert max(mib for _, mib in curve.points) == 5000
    moments = [seconds for seconds, _ in curve.points]
    assert moments == sorted(moments)
    assert moments[0] == 0
    assert moments[-1] > 1900


def test_a_short_boot_keeps_every_sample() -> None:
    curve = Curve()
    for tick, mib in enumerate((0, 400, 900)):
        curve.add(tick / 10, mib)
    assert curve.points == [(0.0, 0), (0.1, 400), (0.2, 900)]


def test_a_lease_tells_what_its_own_processes_held() -> None:
    held = [Usage(os.getpid(), 700)]
    lease = Lease(Card("GPU-0", 8192, lambda: held), 512, "token", alone=True)
    lease._owners[os.getpid()] = "token"
    lease.look()
    facts = lease.facts()
    assert lease.variables[LEASE_VARIABLE] == "token"
    assert facts["fits"] is False
    assert facts["tainted"] is False
    assert [point[1] for point in facts["held_mib"]] == [700]  # type: ignore[union-attr,index]  # of our making

"""GPUs as a resource: who may boot where, and what a lease tells of its card."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from harness.core.machine import visible_devices
from harness.pipeline.gpu_ledger import UNKNOWN, GpuLedger, Promise
from harness.pipeline.gpus import LEASE_VARIABLE, MOST_SAMPLES, Card, Curve, GpuPool, Lease, Owner, Usage, owner_of

if TYPE_CHECKING:
    from pathlib import Path


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
    lease = Lease((Card("GPU-0", 8192, lambda: held),), 512, "token", alone=True)
    lease._owners[os.getpid()] = "token"
    lease.look()
    facts = lease.facts()
    assert lease.variables[LEASE_VARIABLE] == "token"
    assert facts["fits"] is False
    assert facts["tainted"] is False
    assert [point[1] for point in facts["held_mib"]] == [700]  # type: ignore[union-attr,index]  # of our making


def test_visible_devices_are_named_by_index_or_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    uuids = ["GPU-aa11", "GPU-ab22", "GPU-cc33"]
    for chosen, expected in {
        "2,0": [2, 0],
        "GPU-cc": [2],
        "GPU-ab22, 0": [1, 0],
        "": [],
        "1,7,0": [1],
        "GPU-a,0": [],
        "-1": [],
    }.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert list(visible_devices(uuids)) == expected, chosen
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert list(visible_devices(uuids)) == [0, 1, 2]


def empty_card(name: str = "GPU-0", mib: int = 16_000) -> Card:
    return Card(name, mib, list)


def test_as_many_boots_at_a_time_as_memory_allows(tmp_path: Path) -> None:
    gpu_pool = GpuPool((empty_card(), empty_card("GPU-1")), tmp_path)
    with gpu_pool.lease(8000) as one, gpu_pool.lease(8000) as two, gpu_pool.lease(8000) as three:
        assert [one.cards[0].uuid, two.cards[0].uuid, three.cards[0].uuid] == ["GPU-0", "GPU-0", "GPU-1"]


def test_a_boot_waits_until_there_is_room(tmp_path: Path) -> None:
    """Two garages on one folder are two harnesses on one machine."""
    ours, theirs = GpuPool((empty_card(),), tmp_path), GpuPool((empty_card(),), tmp_path)
    got, done = threading.Event(), threading.Event()

    def other() -> None:
        with theirs.lease(10_000):
            got.set()
            done.wait(30)

    with ours.lease(10_000):
        thread = threading.Thread(target=other)
        thread.start()
        assert not got.wait(1.5)
    assert got.wait(10)
    done.set()
    thread.join()
    assert not list(tmp_path.rglob("*.promise"))


def test_measured_boots_have_the_card_alone(tmp_path: Path) -> None:
    gpu_pool = GpuPool((empty_card(), empty_card("GPU-1")), tmp_path)
    with gpu_pool.lease(100, alone=True) as measured, gpu_pool.lease(100) as beside:
        assert (measured.cards[0].uuid, beside.cards[0].uuid) == ("GPU-0", "GPU-1")
        with gpu_pool.lease(100) as third:
            assert third.cards[0].uuid == "GPU-1"


def test_a_boot_on_two_cards_has_its_budget_on_both_and_tells_the_most_of_each(tmp_path: Path) -> None:
    held = {"GPU-0": 700, "GPU-1": 900}
    cards = tuple(Card(name, 16_000, lambda name=name: [Usage(os.getpid(), held[name])]) for name in held)  # type: ignore[misc]
    gpu_pool = GpuPool(cards, tmp_path)
    with gpu_pool.lease(9000, cards=2) as both:
        both._owners[os.getpid()] = both.token
        both.look()
        held["GPU-1"] = 800
        both.look()
        assert both.variables["CUDA_VISIBLE_DEVICES"] == "GPU-0,GPU-1"
        assert (both.facts()["peak_mib"], both.facts()["peak_mib_by_card"]) == (900, [700, 900])
        got = threading.Event()

        def other() -> None:
            with gpu_pool.lease(9000):
                got.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert not got.wait(1.0)
    assert got.wait(10)
    thread.join()


HOLDER = """
import sys, time
from pathlib import Path
from harness.pipeline.gpu_ledger import GpuLedger, Promise
with GpuLedger(Path(sys.argv[1])).of_card("GPU-0") as ledger:
    held = ledger.add(Promise(mib=16_000, alone=True))
print(flush=True)
time.sleep(60)
"""


def test_a_promise_counts_as_long_as_its_process_lives_whatever_its_number(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with GpuLedger(tmp_path).of_card("GPU-0") as ledger:
            assert ledger.promises() == [Promise(mib=16_000, alone=True)]
    finally:
        holder.kill()
        holder.communicate()
    with GpuPool((empty_card(),), tmp_path).lease(8000) as lease:
        assert lease.cards[0].uuid == "GPU-0"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"mib": -1, "alone": false}', b'{"mib": NaN}', b"\xff" * 9999])
def test_a_damaged_promise_counts_as_the_whole_card_while_it_is_held_and_no_longer(
    tmp_path: Path, content: bytes
) -> None:
    with GpuLedger(tmp_path).of_card("GPU-0") as ledger:
        held = ledger.add(Promise(mib=1, alone=False))
        held.file.write_bytes(content)
        assert ledger.promises() == [UNKNOWN]
        os.close(held.descriptor)
        assert ledger.promises() == []
        assert not held.file.exists()


def test_what_is_no_promise_is_in_nobody_s_way(tmp_path: Path) -> None:
    folder = tmp_path / "MIG-GPU-0_1_0"
    (folder / "folder.promise").mkdir(parents=True)
    os.mkfifo(folder / "pipe.promise")
    (folder / "link.promise").symlink_to("/dev/zero")
    with GpuPool((empty_card("MIG-GPU-0/1/0"),), tmp_path).lease(8000) as lease:
        assert lease.cards[0].uuid == "MIG-GPU-0/1/0"


def test_a_budget_larger_than_the_card_still_gets_an_empty_card(tmp_path: Path) -> None:
    with GpuPool((empty_card(mib=8000),), tmp_path).lease(24_000) as lease:
        assert lease.cards[0].total_mib == 8000


def test_a_stranger_on_the_card_taints_the_times() -> None:
    code = "import time; print(flush=True); time.sleep(60)"
    stranger = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert stranger.stdout is not None
    stranger.stdout.readline()  # until then it is a copy of this process, and no stranger
    try:
        lease = Lease((Card("GPU-0", 8192, lambda: [Usage(stranger.pid, 100)]),), 512, "token", alone=True)
        lease.look()
        facts = lease.facts()
        assert (facts["foreign_processes"], facts["tainted"], facts["peak_mib"]) == (1, True, 0)
    finally:
        stranger.kill()
        stranger.communicate()


def test_a_process_is_known_by_its_environment_and_so_are_its_children() -> None:
    sleeper = "import time; print(1, flush=True); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}], env={{}})"
    parent = subprocess.Popen([sys.executable, "-c", code], env={LEASE_VARIABLE: "mine"}, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        parent.stdout.readline()
        (child,) = psutil.Process(parent.pid).children()
        assert owner_of(parent.pid) == owner_of(child.pid) == "mine"
        child.kill()
    finally:
        parent.kill()
        parent.communicate()
    assert owner_of(parent.pid) is Owner.GONE

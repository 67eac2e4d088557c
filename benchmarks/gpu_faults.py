"""Engines that hang, die by a signal or fill the card: ended in time, the memory free again, the next one runs?

On a host with a GPU, with an unpacked bundle:

    PYTHONPATH=BUNDLE/source:BUNDLE/runtime python3 benchmarks/gpu_faults.py BUNDLE --out FILE ID ID ID ID

The first three combinations get a fault each, planted in their own environment and sprung as soon as the engine has
the card; the last is left as it is. They run one after another in a working folder of their own; what the bundle's own
run has found out on the stages below is taken over, so that only boots happen here. The table holds, for each: the
verdict, seconds of the boot against its limit, and seconds until the card's memory was back where it was.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pynvml

from harness.bundle.manifest import MANIFEST
from harness.cli.bundle_host import HostSession
from harness.cli.progress import display
from harness.core.verdict import Stage
from harness.environments.interpreters import NAMED
from harness.matrix.combination import Timeout
from harness.matrix.project import Project
from harness.pipeline.check_cache import CheckResult
from harness.pipeline.limits import LIMITS
from harness.session.execute import run_all

if TYPE_CHECKING:
    from harness.core.records import Record

MIB = 2**20
FREE_AGAIN_MIB = 64
"""How far above the start the card may stay."""

_WATCH = """
import ctypes, os, signal, sys, threading, time

def spring():
    while "torch" not in sys.modules or not getattr(sys.modules["torch"], "cuda", None) \\
            or not sys.modules["torch"].cuda.is_initialized():
        time.sleep(0.05)
    import torch
    held = [torch.empty(2 << 30, dtype=torch.uint8, device="cuda")]
    {what}

if "HARNESS_GPU_LEASE" in os.environ:
    threading.Thread(target=spring, daemon=True).start()
"""
FAULTS = {
    "hang, holding 2 GiB": "ctypes.PyDLL(None).sleep(600)  # keeps the interpreter's lock",
    "SIGSEGV, holding 2 GiB": "os.kill(os.getpid(), signal.SIGSEGV)",
    "fill the card, then hang": """
    try:
        while True:
            held.append(torch.empty(1 << 30, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError:
        ctypes.PyDLL(None).sleep(600)
""".strip(),
}


class Card(threading.Thread):
    """What the card holds, sampled until stopped: (moment, MiB)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        pynvml.nvmlInit()
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(int(first))
        self.samples: list[tuple[float, int]] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Sample ten times a second."""
        while not self.done.wait(0.1):
            self.samples.append((time.time(), int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).used) // MIB))

    def peak_and_free_again(self, start: float, end: float) -> tuple[int, float | None]:
        """Most MiB held between the two moments, and seconds from the second until it was free again."""
        base = self.samples[0][1]
        peak = max((mib for moment, mib in self.samples if start <= moment <= end), default=0)
        free = next((moment for moment, mib in self.samples if moment >= end and mib <= base + FREE_AGAIN_MIB), None)
        return peak, None if free is None else round(free - end, 1)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("ids", nargs=4)
@click.option("--limit", default=40.0, show_default=True, help="Seconds a boot with a fault may take.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(bundle: Path, ids: tuple[str, ...], limit: float, out: Path) -> None:
    """Plant, run, measure."""
    os.environ[NAMED] = sys.executable
    bundle = bundle.absolute()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project = Project(bundle / MANIFEST, bundle / "models", root / "results", root / "state")
        _take_over(bundle / "state" / "answers", project.answers)
        session = HostSession(project, 1, bundle=bundle)
        chosen = [
            dataclasses.replace(each, timeouts={**each.timeouts, Stage.BOOT: Timeout(limit, None)})
            if each.id in ids[:3]
            else each
            for name in ids
            for each in session.combinations
            if each.id == name
        ]
        environments = session.environments
        for (fault, what), name in zip(FAULTS.items(), ids, strict=False):
            lock = session.locks[
                next(each.lock for each in session.manifest.combinations if each.combination.id == name)
            ]
            site = next(
                environments.build(lock, Path(sys.executable), LIMITS[Stage.INSTALL]).folder.glob(
                    "lib/python*/site-packages"
                )
            )
            (site / "planted_fault.py").write_text(_WATCH.replace("{what}", what))
            (site / "planted_fault.pth").write_text("import planted_fault\n")
            click.echo(f"{name}: {fault}")
        card = Card()
        card.start()
        records = []
        for combination in chosen:
            records += run_all(session, [combination], display(1), publish=False)
            time.sleep(1)
        card.done.set()
        card.join()
    rows = [_row(fault, record, card, limit) for fault, record in zip([*FAULTS, "none"], records, strict=True)]
    out.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        click.echo(json.dumps(row))


def _take_over(known: Path, answers: Path) -> None:
    answers.mkdir(parents=True)
    for file in known.glob("*/*.json"):
        answer = CheckResult.model_validate_json(file.read_bytes())
        if all(each.stage.position < Stage.BOOT.position for each in answer.stages):
            (answers / file.parent.name).mkdir(exist_ok=True)
            shutil.copy(file, answers / file.parent.name / file.name)


def _row(fault: str, record: Record, card: Card, limit: float) -> dict[str, object]:
    boot = next((each for each in record.stages if each.stage is Stage.BOOT), None)
    end = record.finished.timestamp()
    peak, free = card.peak_and_free_again(record.started.timestamp(), end)
    return {
        "fault": fault,
        "combination": record.id,
        "verdict": str(record.verdict),
        "boot_seconds": boot.seconds if boot is not None else None,
        "limit_seconds": limit if fault != "none" else None,
        "peak_mib": peak,
        "free_again_after_seconds": free,
    }


class _Silence:
    def stage_reached(self, *_: object) -> None:
        """Nothing to say."""

    def finished(self, *_: object, known: bool) -> None:
        """Nothing to say."""


if __name__ == "__main__":
    main()

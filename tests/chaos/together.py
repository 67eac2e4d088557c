"""Many faults at a time: each in a fork of its own, with its own ground, so that none counts what another left."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.core.untrusted_files import remove_tree
from tests.chaos.ground import Ground
from tests.chaos.registry import Outcome, Tally, bring_about

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.chaos.registry import Fault

ALONE = frozenset({"load"})
"""Families whose figures mean something only when nothing else runs: they come last, one after another."""
FIRST = ("disk", "kills", "network", "processes")
"""The longest ones; the rest fills the gaps."""


def bring_all_about(faults: Sequence[Fault], folder: Path, seed: int, *, jobs: int, quick: bool) -> Iterator[Outcome]:
    """The outcomes as they come.

    Args:
        faults: what to bring about.
        folder: where all of it happens.
        seed: of every random choice; a fault's numbers do not depend on which others run.
        jobs: how many at a time.
        quick: fewer repetitions.
    """
    order = {family: place for place, family in enumerate(FIRST)}
    shared = sorted((each for each in faults if each.family not in ALONE), key=lambda each: order.get(each.family, 9))
    for waiting, slots in ((shared, max(1, jobs)), ([each for each in faults if each.family in ALONE], 1)):
        running: dict[int, Fault] = {}
        while waiting or running:
            while waiting and len(running) < slots:
                chosen = waiting.pop(0)
                running[_start(chosen, folder, seed, quick=quick)] = chosen
            pid, status = os.wait()
            yield _outcome(running.pop(pid), folder, seed, status)


def _place(folder: Path, fault: Fault) -> Path:
    return folder / fault.identity.replace("/", "-")


def _start(fault: Fault, folder: Path, seed: int, *, quick: bool) -> int:
    """The number of the fork that brings it about."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        place = _place(folder, fault)
        place.mkdir()
        outcome = bring_about(fault, Ground(place), seed, quick=quick)
        told = {"seconds": outcome.seconds, "tally": asdict(outcome.tally)}
        place.with_suffix(".json").write_text(json.dumps(told))
        remove_tree(place)
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on as if it were the suite
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _outcome(fault: Fault, folder: Path, seed: int, status: int) -> Outcome:
    file = _place(folder, fault).with_suffix(".json")
    if status == 0 and file.exists():
        told = json.loads(file.read_text())
        return Outcome(fault, seed, Tally(**told["tally"]), told["seconds"])
    broken = Tally(injected=1, complaints=[f"the scenario itself broke (status {status}); see above"])
    return Outcome(fault, seed, broken, 0.0)

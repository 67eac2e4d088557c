"""Combinations that differ in transformers alone, and records of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from harness.matrix import Backend, Combination
from harness.matrix.combination import TargetMachine
from tests.report.samples import grid

if TYPE_CHECKING:
    from harness.core.records import Record


ANY = TargetMachine()


def combination(transformers: str, target: TargetMachine = ANY) -> Combination:
    return Combination(
        id=f"lmdeploy1.0-transformers{transformers}",
        python="3.11",
        lmdeploy="1.0",
        transformers=transformers,
        backend=Backend.PYTORCH,
        model="mini",
        requirements=("lmdeploy==1.0", f"transformers=={transformers}"),
        target=target,
    )


LINE = [combination(f"4.{number}.0") for number in range(9)]


def record_of(one: Combination, verdict: str) -> Record:
    sample = next(iter(grid(1)))
    return sample.model_copy(
        update={
            "id": one.id,
            "axes": one.axes,
            "verdict": verdict,
            "finished": sample.started + timedelta(seconds=10),
        }
    )

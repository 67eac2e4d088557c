"""The incidents' combinations, and records made up for them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.records import CheckRecord, DiagnosisRecord, Record, StageRecord
from harness.core.verdict import Reason, Verdict
from harness.incidents import MATRIX
from harness.matrix import expand, load_matrix
from harness.matrix.model_files import load_models
from tests import ROOT
from tests.matrix.samples import FakeReleases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.matrix import Combination


@cache
def combinations() -> tuple[Combination, ...]:
    """The incidents' matrix; it names exact versions, so no index is asked."""
    return expand(load_matrix(MATRIX), load_models(ROOT / "models"), FakeReleases())


def record_of(
    combination: Combination,
    verdict: str,
    *,
    signature: str | None = None,
    captures: Mapping[str, str] | None = None,
    asked: bool = True,
) -> Record:
    """A record that ended with the verdict, its last check diagnosed as told."""
    parsed = Verdict.parse(verdict)
    stages = []
    if parsed.stage is not None and parsed.reason is not None:
        diagnosis = DiagnosisRecord(
            signature=signature, family=parsed.reason, captures=dict(captures or {}), confidence=1, line="it says so"
        )
        check = CheckRecord(
            name="check", outcome=parsed.status, key="asked" if asked else "", seconds=1, diagnosis=diagnosis
        )
        stages = [StageRecord(stage=parsed.stage, verdict=verdict, seconds=1, checks=[check])]
    now = datetime(2026, 1, 4, tzinfo=UTC)
    return Record(
        id=combination.id,
        attempt=1,
        axes=combination.axes,
        verdict=verdict,
        expected=str(combination.expect),
        as_expected=None,
        stages=stages,
        machine=machine(),
        command="",
        inputs="",
        harness="0",
        started=now,
        finished=now,
        synthetic=True,
    )


def the(label: str) -> Combination:
    (found,) = [each for each in combinations() if each.id.endswith(f"-{label}")]
    return found


def symbol(combination: Combination, name: str) -> Record:
    provider, _, symbol_name = name.rpartition(".")
    return record_of(
        combination,
        f"fail/import/{Reason.SYMBOL}({name})",
        signature="x",
        captures={"provider": provider, "symbol": symbol_name},
    )

"""A remedy is written without losing a comment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.matrix import load_matrix
from harness.remedy.apply import apply_remedy
from harness.remedy.trial import try_remedies
from tests import ROOT
from tests.incidents.samples import record_of, symbol, the

if TYPE_CHECKING:
    from pathlib import Path


def test_applying_keeps_every_comment(tmp_path: Path) -> None:
    matrix = tmp_path / "matrix.yaml"
    before = (ROOT / "matrix.yaml").read_text()
    matrix.write_text(before)
    broken = the("incident-4")
    trial = try_remedies(
        broken,
        symbol(broken, "transformers.BeamSearchScorer"),
        lambda changed: record_of(changed, "blocked/configure/weights-missing-or-corrupt", asked=False),
    )
    assert trial.verified is not None
    apply_remedy(matrix, trial.verified)
    after = matrix.read_text()
    comments = [line for line in before.splitlines() if line.strip().startswith("#")]
    assert [line for line in after.splitlines() if line.strip().startswith("#")] == comments
    assert len(load_matrix(matrix).include) == len(load_matrix(ROOT / "matrix.yaml").include) + 1
    assert "transformers: 4.56.2" in after

"""What is certain of a combination before it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.matrix.model_files import load_models
from harness.pipeline.checkpoints import problem_file
from harness.session.plan import foresee
from tests import ROOT
from tests.scheduling.samples import combination

if TYPE_CHECKING:
    from pathlib import Path


def test_a_miniature_that_a_run_makes_stops_nothing(tmp_path: Path) -> None:
    spec = load_models(ROOT / "models")["qwen3"]
    asked = replace(combination("4.57.3"), model="qwen3")
    foreseen = foresee(asked, spec, tmp_path)
    assert foreseen is None or foreseen.stage is Stage.BOOT  # for want of a GPU
    problem_file(tmp_path, "qwen3").write_text("transformers does not know it")
    stopped = foresee(asked, spec, tmp_path)
    assert stopped is not None
    assert (stopped.stage, stopped.detail) == (Stage.PREPROCESS, "transformers does not know it")

"""Deadlocks: a way out with a reason for each bound, or the fewest requirements that cannot meet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.scan.answers.deadlock import settle
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import QWEN2_VL
from harness.scan.sources.release import Library
from tests.scan.answers.samples import GEN, LLAMA4, NO_BEAMS, NO_KWARGS
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_a_supposed_deadlock_has_a_way_out_with_a_reason_for_each_bound(library: Library) -> None:
    found = settle(Scanner(library, QWEN2_VL.with_imports(("gen",))), "0.9.0")
    assert [str(version) for version in found.left] == ["4.42.0", "4.43.0"]
    run = found.runs[0]
    assert run.below is not None
    assert run.above is not None
    assert (run.below.subject, run.below.file, run.below.line) == (
        "transformers.processing_utils.ImagesKwargs",
        "lmdeploy/vl/model/gemma3.py",
        1,
    )
    assert (run.above.subject, run.above.package, run.above.file) == (
        "transformers.BeamSearchScorer",
        "gen 0.1",
        "gen/__init__.py",
    )
    assert found.conflict == ()


def test_what_no_version_can_help_is_told_without_looking_at_any(library: Library) -> None:
    target = replace(QWEN2_VL, architecture="UnheardOfForConditionalGeneration")
    looked: list[str] = []
    found = settle(Scanner(library, target), "0.9.0", progress=looked.append)
    assert [requirement.subject for requirement in found.conflict] == ["UnheardOfForConditionalGeneration"]
    assert found.conflict[0].line > 0
    assert len(found.excluded) == len(found.considered) == 5
    assert looked == []


def test_two_processes_settle_the_same(library: Library) -> None:
    alone, shared = (settle(Scanner(library, QWEN2_VL.with_imports(("gen",))), "0.9.0", jobs=n) for n in (1, 2))
    assert shared.left == alone.left
    assert [(run.below, run.above) for run in shared.runs] == [(run.below, run.above) for run in alone.runs]


def test_a_true_deadlock_names_the_fewest_requirements_that_cannot_meet(tmp_path: Path) -> None:
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0"))
    publish(
        index,
        "transformers",
        provider("4.40.0", processing_utils=NO_KWARGS),
        provider("4.41.0", processing_utils=NO_KWARGS, configuration_auto="CONFIG_MAPPING_NAMES = {}\n"),
        wheel("transformers", "4.42.0", TABLE | LLAMA4 | NO_BEAMS),
    )
    publish(index, "gen", wheel("gen", "0.1", GEN))
    publish(index, "torch", wheel("torch", "2.8.0", {}))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    found = settle(Scanner(library, QWEN2_VL.with_imports(("gen",))), "0.9.0")
    library.close()
    assert found.left == ()
    assert {requirement.subject for requirement in found.conflict} == {
        "transformers.processing_utils.ImagesKwargs",
        "transformers.BeamSearchScorer",
    }
    for requirement in found.conflict:
        assert requirement.line > 0
        assert found.satisfied_by[requirement]


def test_a_declared_range_is_a_bound_like_any_other(library: Library) -> None:
    found = settle(Scanner(library, QWEN2_VL), "0.9.1")
    assert [str(version) for version in found.left] == ["4.43.0", "4.44.0"]
    assert found.runs[0].below is not None
    assert found.runs[0].below.subject == "transformers>=4.43"
    assert found.runs[0].below.file.endswith("METADATA")

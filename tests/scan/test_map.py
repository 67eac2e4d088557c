"""Many pairs: deadlocks, the map, what remains, where a name is, and the comparison with the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.core.records import MachineRecord, Record, StageRecord
from harness.core.verdict import Stage
from harness.matrix import load_matrix
from harness.report.extras import ScanView
from harness.scan.answers import truth
from harness.scan.answers.deadlock import settle
from harness.scan.answers.findings import Outcome
from harness.scan.answers.grid import make_grid
from harness.scan.answers.page import map_context, outcome_of
from harness.scan.answers.pair import Scanner
from harness.scan.answers.suggestion import suggestions
from harness.scan.answers.symbols import symbol_versions
from harness.scan.evaluation.target import QWEN2_VL
from harness.scan.sources.release import Library
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NO_KWARGS = "class ProcessorMixin:\n    pass\n"
LLAMA4 = {"transformers/models/llama4/__init__.py": "class Llama4Config: pass\n"}
GEN = {"gen/__init__.py": "from transformers import BeamSearchScorer\n"}
NO_BEAMS = {"transformers/generation/__init__.py": "", "transformers/generation/beam_search.py": ""}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Two engines; transformers 4.40 to 4.44, of which the older lack ImagesKwargs, the newer BeamSearchScorer."""
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0"), engine("0.9.1", requires=("transformers>=4.43",)))
    full = TABLE | LLAMA4
    publish(
        index,
        "transformers",
        provider("4.40.0", processing_utils=NO_KWARGS),
        provider("4.41.0", processing_utils=NO_KWARGS),
        wheel("transformers", "4.42.0", full),
        wheel("transformers", "4.43.0", full),
        wheel("transformers", "4.44.0", full | NO_BEAMS),
    )
    publish(index, "gen", wheel("gen", "0.1", GEN))
    publish(index, "torch", wheel("torch", "2.8.0", {}))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    yield library
    library.close()


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


def test_where_a_name_is_comes_as_requirements(library: Library) -> None:
    kwargs = symbol_versions(library, "transformers.processing_utils", "ImagesKwargs")
    assert kwargs.requirements() == ["transformers>=4.42.0"]
    assert str(kwargs) == "ImagesKwargs: transformers >=4.42.0"
    beams = symbol_versions(library, "transformers", "BeamSearchScorer")
    assert beams.requirements() == ["transformers<=4.43.0"]
    assert beams.has(Version("4.41.0"))
    assert not beams.has(Version("4.44.0"))
    assert symbol_versions(library, "transformers.nowhere").runs == ()
    assert symbol_versions(library, "transformers.utils").requirements() == ["transformers"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_map_holds_every_pair(library: Library, jobs: int) -> None:
    grid = make_grid(library, QWEN2_VL, jobs=jobs)
    verdicts = {(str(a), str(b)): cell.verdict for (a, b), cell in grid.cells.items()}
    assert len(verdicts) == 10
    assert verdicts["0.9.0", "4.40.0"] is Outcome.FAIL
    assert verdicts["0.9.0", "4.42.0"] is Outcome.PASS
    assert verdicts["0.9.1", "4.42.0"] is Outcome.REFUSED
    assert grid.cells[Version("0.9.0"), Version("4.41.0")].names[0] == "transformers.processing_utils.ImagesKwargs"
    assert grid.evaluations < len(verdicts)


def test_versions_that_answer_alike_are_evaluated_once(library: Library) -> None:
    scanner = Scanner(library, QWEN2_VL)
    for version in ("4.42.0", "4.43.0", "4.44.0"):
        scanner.verdict(Version("0.9.0"), Version(version))
    assert scanner.engine("0.9.0").memory.distinct == 1
    scanner.verdict(Version("0.9.0"), Version("4.40.0"))
    assert scanner.engine("0.9.0").memory.distinct == 2


def test_the_quick_verdict_is_that_of_the_whole_scan(library: Library) -> None:
    scanner = Scanner(library, QWEN2_VL)
    for own in ("0.9.0", "0.9.1"):
        for version in library.registry.versions("transformers"):
            assert scanner.verdict(Version(own), version)[0] is scanner.scan(own, version).verdict


def test_what_remains_is_ranked(library: Library) -> None:
    found = suggestions(library, QWEN2_VL)
    assert [str(each.lmdeploy) for each in found] == ["0.9.1", "0.9.0"]
    assert [str(each.version) for each in found[1].versions] == ["4.44.0", "4.43.0", "4.42.0"]
    assert str(found[0].best) == "4.44.0"


def record(lmdeploy: str, transformers: str, *stages: str, model: str = "canary") -> Record:
    """A record of a climb with these stage verdicts."""
    now = datetime(2026, 1, 4, tzinfo=UTC)
    return Record(
        id=f"{lmdeploy}-{transformers}",
        attempt=1,
        axes={
            "lmdeploy": lmdeploy,
            "transformers": transformers,
            "backend": "pytorch",
            "model": model,
            "python": "3.11",
        },
        verdict=stages[-1],
        expected="pass",
        as_expected=None,
        stages=[
            StageRecord(stage=Stage(text.split("/")[1]), verdict=text, seconds=1.0) for text in stages if "/" in text
        ],
        machine=MachineRecord(os="", kernel="", wsl=False, cpu="", cores=1, memory_mib=1),
        command="",
        inputs="",
        harness="",
        started=now,
        finished=now,
    )


GOOD = ("pass/resolve", "pass/import", "pass/configure", "blocked/boot/driver-or-gpu-unavailable")
BAD = ("pass/resolve", "fail/import/symbol-removed-or-not-yet-added(x)")


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (GOOD, "pass"),
        (BAD, "fail"),
        (("fail/resolve/resolver-conflict",), "fail"),
        (("pass/resolve", "infra/install/hub-network"), None),
        (("pass/resolve", "blocked/import/native-library-missing"), "blocked"),
        (("pass/resolve", "pass/install"), None),
    ],
)
def test_what_a_record_says_of_a_prediction(stages: tuple[str, ...], expected: str | None) -> None:
    assert outcome_of(record("0.9.0", "4.40.0", *stages)) == expected


def test_the_reports_map_lays_the_truth_over_the_predictions(library: Library) -> None:
    grid = make_grid(library, QWEN2_VL, jobs=1)
    records = [record("0.9.0", "4.42.0", *GOOD), record("0.9.0", "4.41.0", *BAD), record("9.9", "9.9", *GOOD)]
    view = ScanView.model_validate(map_context(grid, records, date="2026-01-04"))
    assert view.rows == ["0.9.0", "0.9.1"]
    cells = dict(zip(view.columns, view.cells[0], strict=True))
    measured = {column: cell.measured for column, cell in cells.items() if cell is not None}
    assert measured == {"4.40.0": None, "4.41.0": "fail", "4.42.0": "pass", "4.43.0": None, "4.44.0": None}
    shown = cells["4.41.0"]
    assert shown is not None
    assert shown.prediction == "fail"
    assert shown.findings[0] == "transformers.processing_utils.ImagesKwargs"


def compare(
    library: Library, records: Iterable[Record], measured: Iterable[truth.Measured] = ()
) -> list[truth.Comparison]:
    scanner = Scanner(library, QWEN2_VL)
    return truth.compare(
        lambda model, backend: scanner if (model, backend) == ("canary", "pytorch") else None, records, measured
    )


def test_what_was_measured_elsewhere_counts_until_a_run_tells(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    rows = [
        {"lmdeploy": "0.9.0", "transformers": version, "backend": "pytorch", "model": "canary", "how": "overlay"}
        | {"decided": "fail/import/unknown(says why)"}
        for version in ("4.41.0", "4.42.0")
    ]
    path.write_text(json.dumps(rows))
    measured = truth.read_measured(path)
    found = compare(library, [record("0.9.0", "4.42.0", *GOOD)], measured)
    assert [(row.transformers, row.how, row.kind) for row in found] == [
        ("4.41.0", "overlay", "right"),
        ("4.42.0", "environment", "right"),
    ]
    path.write_text("[{}]")
    with pytest.raises(truth.BadPairs, match="does not hold measured pairs"):
        truth.read_measured(path)


def test_the_kept_measurement_comes_into_the_report_too(library: Library) -> None:
    rows = compare(library, [record("0.9.0", "4.42.0", *GOOD), record("0.9.0", "4.41.0", *BAD)])
    kept = {"summary": truth.summary(rows), "pairs": [row.to_json() for row in rows]}
    view = ScanView.model_validate(map_context(make_grid(library, QWEN2_VL, jobs=1), truth=kept))
    assert view.truth is not None
    assert [(row.transformers, row.kind) for row in view.truth.pairs] == [("4.41.0", "right"), ("4.42.0", "right")]
    cells = dict(zip(view.columns, view.cells[0], strict=True))
    assert [cell.measured for cell in (cells["4.41.0"], cells["4.42.0"]) if cell is not None] == ["fail", "pass"]


def test_of_several_attempts_on_a_pair_the_last_counts(library: Library) -> None:
    records = [record("0.9.0", "4.42.0", *BAD), record("0.9.0", "4.42.0", *GOOD)]
    assert [row.kind for row in compare(library, records)] == ["right"]


def test_misses_and_false_alarms_are_told_apart(library: Library) -> None:
    records = [
        record("0.9.0", "4.42.0", *GOOD),
        record("0.9.0", "4.43.0", *BAD),
        record("0.9.0", "4.41.0", *GOOD),
        record("0.9.1", "4.40.0", "fail/resolve/resolver-conflict"),
        record("0.9.0", "4.44.0", "pass/resolve", "infra/install/hub-network"),
        record("0.9.1", "4.42.0", "pass/resolve", "pass/install", "fail/import/timeout"),
        record("0.9.0", "4.40.0", *BAD, model="another"),
    ]
    rows = compare(library, records)
    kinds = {(row.lmdeploy, row.transformers): row.kind for row in rows}
    assert kinds == {
        ("0.9.0", "4.41.0"): "false alarm",
        ("0.9.0", "4.42.0"): "right",
        ("0.9.0", "4.43.0"): "miss",
        ("0.9.0", "4.44.0"): "unknown",
        ("0.9.1", "4.40.0"): "right",
        ("0.9.1", "4.42.0"): "unknown",
    }
    assert truth.summary(rows) == {
        "pairs": 6,
        "hard_failures": 2,
        "right": 2,
        "misses": 1,
        "false_alarms": 1,
        "unknown": 2,
    }


def test_the_truths_matrix_is_a_valid_one(tmp_path: Path) -> None:
    path = tmp_path / truth.MATRIX
    path.write_text(truth.matrix_text(truth.Group("0.11.1", "turbomind", "canary", ("4.38.2", "5.0.0"))), "utf-8")
    load_matrix(path)


def test_the_shipped_pairs_are_enough() -> None:
    assert sum(len(group.transformers) for group in truth.read_pairs()) >= 25


def test_pairs_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    path.write_text(
        "0.11.1 4.38.2  # the log\n\n0.11.1 4.57.3\n0.18.0 5.17.0 turbomind\n0.18.0 5.17.0 pytorch another\n"
    )
    assert truth.read_pairs(path) == [
        truth.Group("0.11.1", "pytorch", "canary", ("4.38.2", "4.57.3")),
        truth.Group("0.18.0", "turbomind", "canary", ("5.17.0",)),
        truth.Group("0.18.0", "pytorch", "another", ("5.17.0",)),
    ]
    path.write_text("0.11.1 4.57.3 pytroch\n")
    with pytest.raises(truth.BadPairs, match="there is no backend 'pytroch'"):
        truth.read_pairs(path)
    path.write_text("0.11.1\n")
    with pytest.raises(truth.BadPairs, match=r"pairs:1: .* write e\.g\. 0\.11\.1 4\.57\.3"):
        truth.read_pairs(path)
    with pytest.raises(truth.BadPairs, match="cannot be read"):
        truth.read_pairs(tmp_path / "absent")

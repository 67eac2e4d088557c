"""What other machines have shown is told beside a gate's verdicts, and only where this machine could not judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.gate.known import known_of
from harness.gate.markdown import markdown
from harness.gate.shards import merge, parse_shard
from harness.matrix.model_files import load_models
from tests import ROOT
from tests.evidence.samples import CPU, H100, record
from tests.gate.samples import outcome, row

if TYPE_CHECKING:
    from pathlib import Path

    from harness.core.records import Record

MODELS = load_models(ROOT / "models")
HERE = record("canary", machine=CPU, passed=Stage.EMULATE)


def elsewhere(reports: Path, *found: Record) -> Path:
    folder = reports / "imported" / "lab"
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(f"{each.model_dump_json()}\n" for each in found))
    return reports


def test_a_stack_that_was_served_elsewhere_is_told_with_its_level(tmp_path: Path) -> None:
    reports = elsewhere(tmp_path, record("canary", machine=H100, lock="b" * 16, packages={"torch": "2.11.0"}))
    (line,) = known_of([HERE], reports, MODELS)
    assert line.startswith("lmdeploy 0.18.0 with transformers 5.17.0, pytorch, Canary")
    assert "served beside other packages" in line
    assert "torch 2.11.0" in line


def test_a_failure_elsewhere_is_told(tmp_path: Path) -> None:
    bad = record("canary", machine=H100, passed=Stage.CONFIGURE, failed=Stage.BOOT)
    (line,) = known_of([HERE], elsewhere(tmp_path, bad), MODELS)
    assert "fail/boot" in line
    assert "H100" in line


def test_nothing_is_told_of_what_this_machine_judged_or_nobody_knows_more_of(tmp_path: Path) -> None:
    reports = elsewhere(tmp_path, record("canary", machine=H100))
    assert known_of([record("canary", machine=H100), record("canary", failed=Stage.IMPORT)], reports, MODELS) == []
    assert known_of([HERE], tmp_path / "empty", MODELS) == []


def test_it_is_in_the_comment_and_whole_after_shards_are_merged() -> None:
    half = outcome([row(1)], shard=parse_shard("1/1")).model_copy(update={"known": ["one | two"]})
    whole = merge([half])
    assert whole.known == ["one | two"]
    assert "known from other machines: one" in markdown(whole, 10_000, every=True)

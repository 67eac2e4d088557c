"""The answers that follow from the committed records alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from harness.cli.results import results
from harness.cli.scan import suggest
from harness.cli.stacks import chosen, stacks
from harness.evidence.choice import Target, choose
from harness.evidence.sources import Sources
from harness.evidence.subjects import subjects_of
from harness.matrix.model_files import load_models
from harness.pin.choose import Wish, choose_stack
from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence.stacks import Knowledge


@pytest.fixture(scope="module")
def committed() -> Knowledge:
    return Sources.of(ROOT / "reports").knowledge(subjects_of(load_models(ROOT / "models").values()))


def test_none_is_older_than_a_stack_of_the_same_level_without_a_reason(committed: Knowledge) -> None:
    answers = chosen(committed, (), None, Target())
    assert len(answers) >= 60
    for each in answers:
        best = each.best or each.beyond
        for other in each.ranked or each.larger:
            assert best is not None
            newer = other.newness > best.newness
            refused = other.declared is False and best.declared is not False
            reason = refused or other.standing < best.standing
            assert not newer or reason, (best, other)


def test_the_command_tells_the_stack_and_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    asked = ["Qwen/Qwen2-VL-2B-Instruct", "--gpu-memory", "8GiB", "--format", "json"]
    answers: list[dict[str, Any]] = json.loads(CliRunner().invoke(stacks, asked).output)
    assert [each["backend"] for each in answers] == ["pytorch", "turbomind", "transformers"]
    pytorch, turbomind = answers[0]["recommended"], answers[1]["recommended"]
    for each in (pytorch, turbomind):
        assert each["level"] == "served beside other packages"
        assert each["lmdeploy"] == "0.18.0"
        assert "own weights" in each["not_shown"]
        assert "of the same size, took" in each["memory"]
    assert re.search(r"NVIDIA H\d00", turbomind["shown"])


def test_a_table_for_every_model_and_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = CliRunner().invoke(stacks, ["--format", "markdown"])
    assert shown.exit_code == 0
    assert "| qwen2-vl-2b-instruct | turbomind |" in shown.output
    assert re.search(r"\| qwen2.5 \| pytorch \| none fits 8 GiB; with 20 GiB: 0\.\d+\.\d+ with", shown.output)
    assert CliRunner().invoke(stacks, ["no-such-model"]).exit_code == 2


@pytest.mark.parametrize("backend", ["pytorch", "turbomind"])
def test_suggest_pin_and_stacks_give_one_answer(
    committed: Knowledge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str
) -> None:
    monkeypatch.chdir(ROOT)
    sources = Sources.of(ROOT / "reports")
    pinned = choose_stack(sources, committed, Wish("qwen2-vl-2b-instruct", backend=backend, gpu_memory_gib=8)).best
    assert pinned is not None
    assert pinned.lock.name == pinned.known.lock
    asked = ["--model", "qwen2-vl-2b-instruct", "--backend", backend, "--gpu-memory", "8GiB", "--format", "json"]
    suggested = json.loads(CliRunner().invoke(suggest, [*asked, "--known", "--cache", str(tmp_path)]).output)
    answers = json.loads(CliRunner().invoke(stacks, [*asked[1:2], *asked[2:]]).output)
    assert suggested["answer"] == answers[0]
    assert suggested["answer"]["recommended"]["lock"] == pinned.lock.name


@pytest.mark.parametrize("backend", ["pytorch", "turbomind"])
def test_the_newest_pin_is_the_answer(committed: Knowledge, backend: str) -> None:
    """Where it is not: 'lmdeploy-harness pin', as the session reference calls it, makes it anew."""
    pin = json.loads((ROOT / "reports" / "pins" / f"qwen2-vl-2b-8gib-{backend}-newest" / "pin.json").read_text())
    best = choose(committed, "qwen2-vl-2b-instruct", backend, Target(gpu_gib=8)).best
    assert best is not None
    assert pin["stack"] == best.lock


def test_results_of_every_machine_have_source_and_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    where = "model=qwen2-vl-2b-instruct and backend=pytorch and lmdeploy=0.18.0 and status=blocked"
    asked = ["--everywhere", "--where", where, "--columns", "transformers,level,source", "--format", "json"]
    rows = {each["transformers"]: each for each in json.loads(CliRunner().invoke(results, asked).output)}
    assert {each["source"] for each in rows.values()} == {"reference/cpu"}
    assert rows["5.17.0"]["level"] == "served beside other packages"
    assert rows["5.24.0"]["level"] == "emulated"

"""What the report says, apart from how it looks."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.comparison import Change
from harness.core.records import CheckRecord
from harness.core.verdict import Reason, Stage, Status
from harness.evidence.levels import Level
from harness.evidence.predictions import Predictions
from harness.evidence.sightings import Sighting
from harness.evidence.stacks import Knowledge
from harness.evidence.subjects import Subject
from harness.probes.smoke.question import Question, Reply, stage_facts
from harness.report import ReportContext, build_context
from harness.report.logs import MAX_CHARACTERS, MAX_LINES, log_entry
from harness.report.passes import passes_of
from harness.report.wording import CHANGES, FAMILIES
from tests.report.extras import MODELS, sample_extras
from tests.report.samples import GPU_MACHINE, IMAGE, SEE, START, record_of, story
from tests.report.troubles import BEAM_SEARCH, IMAGES_KWARGS, NETWORK, NO_GPU, SAFETENSORS, WRONG, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from harness.core.records import Record


def axes(
    lmdeploy: str = "0.18.0", transformers: str = "5.17.0", backend: str = "pytorch", **more: str
) -> dict[str, str]:
    given_axes = {"python": "3.11", "lmdeploy": lmdeploy, "transformers": transformers, "backend": backend}
    return given_axes | {"model": "canary"} | more


def context_of(*records: Record, **extras: JsonValue) -> ReportContext:
    return build_context(records, generated=START, extras=extras)


def small() -> list[Record]:
    """Every state, a retry, a pass with both answers, and a wrong answer."""
    excluded = Trouble(Stage.RESOLVE, "", Reason.EXCLUDED, Status.SKIPPED, "no wheels for this python")
    skipped = record_of(axes(python="3.14"), excluded, filler=2, note="no wheels for this python")
    return [
        record_of(axes("0.11.1", "4.38.2"), IMAGES_KWARGS, filler=2, expected="fail/import"),
        record_of(axes("0.11.1", "5.17.0"), SAFETENSORS, filler=2),
        record_of(axes(), NO_GPU, filler=2),
        record_of(axes(python="3.12"), SAFETENSORS, filler=2, machine=GPU_MACHINE),
        record_of(axes(python="3.12"), None, filler=2, machine=GPU_MACHINE, attempt=2),
        record_of(axes(backend="transformers"), None, filler=2),
        record_of(axes("0.16.0", backend="transformers"), WRONG, filler=2),
        record_of(axes("0.16.0"), NETWORK, filler=2),
        skipped.model_copy(update={"stages": [], "stack": {}, "lock": None}),
    ]


def test_a_context_reads_back_from_its_json() -> None:
    context = build_context(small(), generated=START, extras=sample_extras())
    assert ReportContext.model_validate_json(context.model_dump_json()) == context


def test_the_order_of_records_does_not_matter() -> None:
    shuffled = small()
    random.Random(1).shuffle(shuffled)  # noqa: S311 - an order, not a secret
    assert context_of(*shuffled) == context_of(*small())


def test_no_record_is_no_answer() -> None:
    context = context_of()
    assert context.answers == []
    assert context.combinations == []
    assert context.started is None


def test_the_last_attempt_counts_and_disagreement_is_flagged() -> None:
    context = context_of(*small())
    retried = next(entry for entry in context.combinations if entry.axes["python"] == "3.12")
    assert retried.verdict == "pass"
    assert [attempt.verdict.split("(")[0] for attempt in retried.earlier] == [f"fail/import/{Reason.SYMBOL}"]
    assert context.flaky == [context.combinations.index(retried)]


def test_infrastructure_trouble_before_a_pass_is_no_flake() -> None:
    context = context_of(record_of(axes(), NETWORK), record_of(axes(), None, attempt=2))
    assert context.flaky == []


def test_a_blocked_boot_is_never_called_served() -> None:
    answer = context_of(record_of(axes(), NO_GPU)).answers[0]
    assert answer.level is Level.CLIMBED
    assert answer.words == "passed up to preprocess"
    assert "that the engine comes up and answers rightly on a GPU" in answer.not_shown


def test_answers_that_nobody_judged_serve_nothing() -> None:
    record = record_of(axes(model="random"), None, machine=GPU_MACHINE)
    stages = [
        stage.model_copy(update={"checks": [asked_by("any", check) for check in stage.checks]})
        for stage in record.stages
    ]
    answer = context_of(record.model_copy(update={"stages": stages})).answers[0]
    assert answer.words == "passed up to structure"
    assert "answers rightly" in answer.not_shown


def asked_by(judge: str, check: CheckRecord) -> CheckRecord:
    asked: JsonValue = {"prompt": "What is it?", "judge": judge}
    return check.model_copy(update={"facts": check.facts | {"asked": asked}}) if "asked" in check.facts else check


def test_a_pass_that_never_booted_is_not_proven() -> None:
    record = record_of(axes(), NO_GPU)
    passed = record.model_copy(update={"verdict": "pass", "stages": record.stages[:-1]})
    assert context_of(passed).answers[0].level is Level.CLIMBED


def test_nothing_passed_is_said_and_offers_no_command() -> None:
    answer = context_of(record_of(axes(), SAFETENSORS)).answers[0]
    assert answer.level is Level.NOTHING
    assert answer.commands == []
    assert answer.against[0].text.startswith("Fails: fail/import/")
    assert answer.combination == 0


def test_the_choice_leads() -> None:
    context = build_context(story(), generated=START, extras={"choice": {"model": "canary", "backend": "turbomind"}})
    assert (context.answers[0].model, context.answers[0].backend) == ("canary", "turbomind")


def test_engines_lead_before_the_reference() -> None:
    context = context_of(record_of(axes(), NO_GPU), record_of(axes(backend="transformers"), None))
    assert [answer.backend for answer in context.answers] == ["pytorch", "transformers"]
    assert "LMDeploy's engines, which have no part in this" in context.answers[1].not_shown


def test_a_stand_in_of_the_architecture_speaks_for_a_model_and_others_do_not() -> None:
    wanted = record_of(axes(model="qwen2-vl-2b-instruct"), NO_GPU)
    newer = record_of(axes(transformers="5.23.0", model="qwen2-vl-2b-instruct"), NO_GPU)
    canary = record_of(axes(), None, machine=GPU_MACHINE)
    alone = context_of(wanted, newer, canary).answers[0]
    assert (alone.level, alone.versions["transformers"]) == (Level.CLIMBED, "5.23.0")
    answer = context_of(wanted, newer, canary, models=MODELS).answers[0]
    assert (answer.level, answer.versions["transformers"]) == (Level.STAND_IN, "5.17.0")
    assert answer.shown is not None
    assert "of the architecture of Qwen2-VL-2B-Instruct" in answer.shown.text


def test_other_machines_records_are_shown_marked_and_cited_ones_are_brought_along() -> None:
    wanted = record_of(axes(model="qwen2-vl-2b-instruct"), NO_GPU)
    canary = record_of(axes(), None, machine=GPU_MACHINE)
    context = build_context([wanted], generated=START, extras={"models": MODELS}, elsewhere=[("imported/lab", canary)])
    assert [(entry.source, entry.beside) for entry in context.combinations] == [("imported/lab", False), ("", False)]
    assert context.combinations[0].id == f"{canary.id}@imported/lab"
    subjects = {name: Subject(name, name, "A", "none") for name in ("canary", "qwen2-vl-2b-instruct")}
    sightings = [Sighting(wanted), Sighting(canary, "reference/gpu")]
    known = Knowledge.of(subjects, sightings, Predictions())
    context = build_context([wanted], generated=START, extras={"models": MODELS}, knowledge=known)
    assert context.counts["pass"] == 0
    (answer,) = context.answers
    assert answer.combination is not None
    brought = context.combinations[answer.combination]
    assert (brought.source, brought.beside, brought.verdict) == ("reference/gpu", True, "pass")
    assert [(each.name, each.records) for each in context.sources] == [("this machine", 1), ("reference/gpu", 1)]


def test_the_install_command_is_the_tested_lock() -> None:
    record = record_of(axes(), None, machine=GPU_MACHINE)
    commands = {
        command.label: command.text for command in context_of(record, locks="reports/locks").answers[0].commands
    }
    assert f"uv pip sync reports/locks/{record.lock}/pylock.toml" in commands["Install exactly what was tested"]
    assert "--backend pytorch" in commands["Launch the server (not started this way on this stack)"]
    assert "Or from Python, as it ran" in commands
    assert commands["Reproduce this verdict"] == record.command


def test_commands_quote_what_a_shell_would_read() -> None:
    record = record_of(axes(), None).model_copy(update={"lock": "a b; rm -rf ~"})
    commands = context_of(record).answers[0].commands
    assert "uv pip sync 'locks/a b; rm -rf ~/pylock.toml'" in commands[0].text


def test_failures_group_by_signature_and_captures() -> None:
    context = context_of(
        record_of(axes("0.11.1", "5.0.0"), SAFETENSORS),
        record_of(axes("0.11.1", "5.17.0"), SAFETENSORS),
        record_of(axes("0.11.1", "4.57.3"), BEAM_SEARCH),
        record_of(axes(), NO_GPU),
    )
    groups = [(group.status, group.captures.get("symbol"), len(group.combinations)) for group in context.causes]
    assert groups == [("fail", "is_safetensors_available", 2), ("fail", "BeamSearchScorer", 1), ("blocked", None, 1)]
    assert context.causes[0].where["transformers"] == ["5.0.0", "5.17.0"]


def test_every_combination_that_did_not_pass_has_a_cause() -> None:
    context = build_context(story(), generated=START)
    grouped = sorted(index for group in context.causes for index in group.combinations)
    assert grouped == [index for index, entry in enumerate(context.combinations) if entry.status != "pass"]


def test_one_answer_for_equal_checks() -> None:
    first, second = record_of(axes(), NO_GPU), record_of(axes(model="other"), NO_GPU)
    context = context_of(first, second)
    shared = context.combinations[0].stages[0].checks
    assert shared == context.combinations[1].stages[0].checks
    assert len(context.checks) < sum(len(stage.checks) for entry in context.combinations for stage in entry.stages)


def test_equal_keys_with_other_answers_stay_apart() -> None:
    record = record_of(axes(), NO_GPU)
    slower = record.stages[0].checks[0].model_copy(update={"seconds": 999.0})
    again = record.stages[0].model_copy(update={"checks": [slower]})
    changed = record.model_copy(update={"id": "other", "stages": [again]})
    context = context_of(record, changed)
    assert {context.checks[entry.stages[0].checks[0]].seconds for entry in context.combinations} >= {999.0}


def test_the_map_has_every_combination_once() -> None:
    context = build_context(story(), generated=START)
    placed = sorted(index for facet in context.facets for row in facet.cells for cell in row for index in cell)
    assert placed == list(range(len(context.combinations)))
    assert context.facets[0].rows == ["0.18.0", "0.16.0", "0.14.0", "0.12.3", "0.11.1"]


def test_versions_sort_as_versions() -> None:
    context = context_of(*(record_of(axes("0.9.2", version), NO_GPU) for version in ("4.9.0", "4.10.0", "latest")))
    assert context.facets[0].columns == ["latest", "4.9.0", "4.10.0"]


def test_every_family_and_change_is_explained() -> None:
    assert set(FAMILIES) == set(Reason)
    assert set(CHANGES) == set(Change)


def test_changes_name_what_moved() -> None:
    record = record_of(axes(), SAFETENSORS)
    changes = context_of(
        record, previous={"label": "yesterday", "verdicts": {record.id: "pass", "old": "pass"}}
    ).changes
    assert changes is not None
    assert [(entry.change, entry.id) for entry in changes.entries] == [
        (Change.REGRESSED, record.id),
        (Change.GONE, "old"),
    ]


@pytest.mark.parametrize(
    ("extras", "complaint"),
    [
        ({"trends": {}}, "trends"),
        ({"choice": {"backend": "pytorch"}}, "choice.model"),
        (
            {"scan": {"model": "m", "date": "d", "rows": [], "columns": [], "cells": [[{"prediction": "maybe"}]]}},
            "cells",
        ),
    ],
)
def test_misshapen_extras_are_named(extras: dict[str, JsonValue], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build_context([], generated=START, extras=extras)


def test_a_huge_log_is_bounded_and_its_deciding_line_marked() -> None:
    tail = "noise\n" * 2_000_000 + "ImportError: no name\nbye\n"
    entry = log_entry(tail, "ImportError: no name")
    assert entry is not None
    assert len(entry.lines) <= MAX_LINES
    assert entry.deciding is not None
    assert entry.lines[entry.deciding] == "ImportError: no name"
    assert entry.omitted > 1_900_000


def test_one_endless_line_is_bounded() -> None:
    entry = log_entry("x" * 10_000_000)
    assert entry is not None
    assert sum(map(len, entry.lines)) < MAX_CHARACTERS
    assert entry.omitted == 1


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", ["red"]),
        ("10%\r50%\r100%\ndone", ["100%", "done"]),
        ("a\r\nb", ["a", "b"]),
        ("\x1b]0;title\x07", ["⟨U+001B⟩]0;title⟨U+0007⟩"]),
        ("safe\u202egnp.exe", ["safe⟨U+202E⟩gnp.exe"]),
    ],
)
def test_a_log_shows_what_it_hides(printed: str, shown: Sequence[str]) -> None:
    entry = log_entry(printed)
    assert entry is not None
    assert entry.lines == shown


def test_an_empty_log_is_none() -> None:
    assert log_entry(" \n\x1b[0m\n") is None


@given(
    st.dictionaries(
        st.sampled_from(["see", "structure", "image", "asked", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(["answers", "question", "total_seconds", "new_tokens", "judge", "colours", "size"]),
                    inner,
                )
            ),
            max_leaves=12,
        ),
    )
)
def test_any_facts_can_be_read(facts: dict[str, JsonValue]) -> None:
    for found in passes_of(facts):
        assert all(0 <= sample < float("inf") for sample in found.latencies)


def test_a_pass_is_what_the_probe_and_the_record_say_of_it() -> None:
    replies = [Reply("red", 42, 3, 0.2, 0.5), Reply("blue", 42, 3, 0.1, 0.3)]
    facts: dict[str, JsonValue] = {"see": stage_facts(Question("Which colours?", 32, object()), replies)}
    (found,) = passes_of(facts | {"asked": SEE, "image": IMAGE})
    assert (found.prompt, found.answer, found.again) == ("Which colours?", "red", "blue")
    assert (found.latencies, found.first_token) == ([0.5, 0.3], [0.2, 0.1])
    assert (found.prompt_tokens, found.new_tokens) == (42, 3)
    assert (found.judge, found.judged, found.expected) == ("exact", True, SEE["expected"])
    assert (found.colours, found.image_size) == (IMAGE["colours"], 112)


def test_combinations_come_in_the_order_of_their_versions() -> None:
    records = [record_of(axes(lmdeploy), NO_GPU) for lmdeploy in ("0.11.1", "0.9.2", "0.12.3")]
    assert [entry.axes["lmdeploy"] for entry in context_of(*records).combinations] == ["0.9.2", "0.11.1", "0.12.3"]


def test_facts_are_bounded() -> None:
    record = record_of(axes(), NO_GPU)
    check = CheckRecord(
        name="x", outcome=Status.PASS, key="k", seconds=1, facts={"list": [*range(10_000)], "text": "y" * 10**6}
    )
    stage = record.stages[0].model_copy(update={"checks": [check]})
    context = context_of(record.model_copy(update={"stages": [stage]}))
    assert len(json.dumps(context.checks[0].facts)) < 20_000


def test_times_are_utc() -> None:
    record = record_of(axes(), NO_GPU)
    moved = record.model_copy(update={"finished": START.astimezone().replace(tzinfo=None) + timedelta(hours=1)})
    assert context_of(moved).combinations[0].finished.endswith("Z")

"""Levels, joining and conflict; the properties hold for any records in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.verdict import Stage
from harness.evidence.choice import Target, choose, memory_of
from harness.evidence.levels import Level
from harness.evidence.predictions import Predictions
from harness.evidence.sightings import Sighting
from harness.evidence.stacks import Knowledge, Known
from harness.evidence.told import not_shown_line, room_words
from tests.evidence.samples import CPU, H100, LAPTOP, SUBJECTS, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import Record

A, B = "a" * 16, "b" * 16
STACKS = {
    A: {"lmdeploy": "0.18.0", "transformers": "5.17.0", "python": "3.12", "packages": {"torch": "2.12.1"}},
    B: {"lmdeploy": "0.18.0", "transformers": "5.17.0", "python": "3.11", "packages": {"torch": "2.11.0"}},
    "c" * 16: {"lmdeploy": "0.16.0", "transformers": "5.6.2", "python": "3.12", "packages": {"torch": "2.12.1"}},
}
MAP: dict[str, object] = {
    "model": "model",
    "backend": "pytorch",
    "python": "3.11",
    "rows": ["0.18.0", "0.17.0"],
    "columns": ["5.17.0", "5.24.0"],
    "cells": [[{"prediction": "pass"}, {"prediction": "fail"}], [{"prediction": "warn"}, None]],
    "declared": {"0.18.0": "<5.20"},
}


def knowledge(records: Sequence[Record], *maps: Mapping[str, object]) -> Knowledge:
    return Knowledge.of(SUBJECTS, [Sighting(each) for each in records], Predictions.of_maps(maps))


def known(records: Sequence[Record], lock: str = A, model: str = "model", backend: str = "pytorch") -> Known:
    return next(each for each in knowledge(records).stacks(model, backend) if each.lock == lock)


@st.composite
def records(draw: st.DrawFn) -> Record:
    lock = draw(st.sampled_from(sorted(STACKS)))
    passed = draw(st.sampled_from([Stage.INSTALL, Stage.CONFIGURE, Stage.EMULATE, Stage.BOOT, Stage.STRUCTURE]))
    return record(
        draw(st.sampled_from(["model", "canary", "random", "other"])),
        lock=lock,
        passed=passed,
        failed=draw(st.sampled_from([None, None, Stage.IMPORT, Stage.BOOT, Stage.STRUCTURE])),
        machine=draw(st.sampled_from([CPU, H100, LAPTOP])),
        differences=draw(st.sampled_from([{}, {"torch": "2.11.0"}])),
        judge=draw(st.sampled_from(["exact", "any"])),
        at=draw(st.integers(0, 3)),
        **STACKS[lock],  # type: ignore[arg-type]
    )


MANY = st.lists(records(), max_size=8)


def levels(found: Sequence[Record]) -> dict[str, tuple[int, int]]:
    """Of each stack: its level, and how far it climbed."""
    return {
        str(each.lock): each.best.rank if each.best else (0, -1) for each in knowledge(found).stacks("model", "pytorch")
    }


@settings(max_examples=60, deadline=None)
@given(MANY, MANY)
def test_more_evidence_never_lowers_a_level(found: list[Record], more: list[Record]) -> None:
    before, after = levels(found), levels([*found, *more])
    assert all(after[lock] >= level for lock, level in before.items())


@settings(max_examples=60, deadline=None)
@given(MANY)
def test_two_copies_count_once(found: list[Record]) -> None:
    copies = [each.model_copy(update={"attempt": each.attempt + 1}) for each in found]
    assert told(found) == told([*found, *copies])


@settings(max_examples=60, deadline=None)
@given(MANY.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_the_order_of_reading_changes_nothing(pair: tuple[list[Record], list[Record]]) -> None:
    assert told(pair[0]) == told(pair[1])


def test_records_that_differ_in_their_stages_alone_are_two() -> None:
    """One of them cannot be true; which one is read first must not decide."""
    whole = record("model", machine=CPU, passed=Stage.EMULATE)
    short = record("model", machine=CPU, passed=Stage.INSTALL)
    assert told([whole, short]) == told([short, whole])
    assert known([short, whole]).level is Level.EMULATED


def told(found: Sequence[Record]) -> list[object]:
    """The whole answer, with what it rests on."""
    choice = choose(knowledge(found, MAP), "model", "pytorch")
    return [
        (each.lock, each.pair, each.level, each.standing, [it.sighting.key for it in each.shown], keys(each))
        for each in (*choice.ranked, *choice.failing)
    ]


def keys(each: Known) -> list[str]:
    return sorted(it.key for it in each.against)


@settings(max_examples=60, deadline=None)
@given(MANY, records())
def test_a_failure_on_a_lock_and_machine_is_never_hidden_by_a_pass_elsewhere(found: list[Record], bad: Record) -> None:
    bad = record(
        "canary",
        lock=str(bad.lock),
        failed=Stage.BOOT,
        passed=Stage.CONFIGURE,
        machine=bad.machine,
        at=9,
        **STACKS[str(bad.lock)],  # type: ignore[arg-type]
    )
    each = next(it for it in knowledge([*found, bad]).stacks("model", "pytorch") if it.lock == bad.lock)
    assert bad.id in {it.record.id for it in each.failures}
    assert each.standing < (Level.EMULATED.strength, -1)


def test_levels_from_the_strongest_to_the_weakest() -> None:
    own = record("model")
    assert known([own]).level is Level.SERVED
    assert known([record("canary")]).level is Level.STAND_IN
    assert known([record("canary", differences={"torch": "2.11.0"})]).level is Level.BESIDE
    assert known([record("canary", machine=CPU, passed=Stage.EMULATE)]).level is Level.EMULATED
    climbed = known([record("model", machine=CPU, passed=Stage.CONFIGURE)])
    assert (climbed.level, climbed.reached) == (Level.CLIMBED, Stage.CONFIGURE)
    assert known([own, record("canary", machine=CPU, passed=Stage.EMULATE)]).level is Level.SERVED


def test_weights_whose_answers_mean_nothing_serve_nothing() -> None:
    assert known([record("random", judge="any")]).level is Level.CLIMBED


def test_another_architecture_or_quantisation_says_nothing() -> None:
    assert knowledge([record("other"), record("canary-awq")]).stacks("model", "pytorch") == []


def test_another_lock_of_the_same_versions_says_what_differed() -> None:
    served = record("canary", lock=B, **STACKS[B])  # type: ignore[arg-type]
    emulated = record("canary", lock=A, machine=CPU, passed=Stage.EMULATE, **STACKS[A])  # type: ignore[arg-type]
    here = known([served, emulated])
    assert here.level is Level.BESIDE
    assert here.best is not None
    assert dict(here.best.differences) == {"torch": "2.11.0"}


def test_passing_on_one_card_and_failing_on_another_is_a_conflict_and_not_the_answer() -> None:
    stack = STACKS["c" * 16]
    found = [
        record("canary", machine=H100),
        record("canary", machine=LAPTOP, passed=Stage.CONFIGURE, failed=Stage.BOOT),
        record("canary", lock="c" * 16, machine=H100, **stack),  # type: ignore[arg-type]
    ]
    contested = known(found)
    assert contested.level is Level.STAND_IN
    assert [each.machine for each in contested.conflicts] == ["RTX 3070 under WSL2"]
    best = choose(knowledge(found), "model", "pytorch").best
    assert best is not None
    assert best.lock == "c" * 16


def test_a_later_answer_to_the_same_question_takes_a_failure_back() -> None:
    bad = record("canary", passed=Stage.CONFIGURE, failed=Stage.BOOT)
    assert known([bad, record("canary", at=1)]).conflicts == ()
    assert known([record("canary"), bad.model_copy(update={"finished": record(at=5).finished})]).conflicts != ()


def test_a_wrong_way_to_start_says_nothing_of_the_stack() -> None:
    assert knowledge([record("canary", failed=Stage.IMPORT, launch="legacy-module")]).stacks("model", "pytorch") == []


def test_the_scan_alone_is_the_weakest_word_and_what_lmdeploy_names_goes_before_newest() -> None:
    choice = choose(knowledge([], MAP), "model", "pytorch")
    assert [(each.pair, each.level) for each in choice.ranked] == [
        (("0.18.0", "5.17.0"), Level.PREDICTED),
        (("0.17.0", "5.17.0"), Level.PREDICTED),
    ]
    both = [
        record("canary", transformers=version, lock=lock, packages={"torch": "2.12.1"})
        for version, lock in (("5.17.0", A), ("5.24.0", B))
    ]
    best = choose(knowledge(both, MAP), "model", "pytorch").best
    assert best is not None
    assert best.transformers == "5.17.0"
    newest = choose(knowledge(both), "model", "pytorch").best
    assert newest is not None
    assert newest.transformers == "5.24.0"


def test_memory_is_told_for_the_model_in_question() -> None:
    small = record("canary", gpu={"peak_mib": 6500, "budget_mib": 8192})
    everything = knowledge([small])
    memory = memory_of(everything, everything.stacks("model", "pytorch")[0])
    assert memory is not None
    assert (memory.gib, memory.measured) == (8.0, None)
    sized = record("random", judge="any", gpu={"peak_mib": 9216, "budget_mib": 12_288})
    choice = choose(knowledge([small, sized]), "model", "pytorch", Target(gpu_gib=8))
    assert [why for _, why in choice.unfit] == ["took 9.0 GiB of GPU memory; the target has 8 GiB"]


def test_a_miniature_is_no_model_s_own_weights() -> None:
    here = known([record("tiny", judge="logits")], model="tiny")
    assert here.level is Level.STAND_IN
    assert "trained weights" in not_shown_line(here)


def test_where_nothing_fits_the_card_the_answer_for_a_larger_one_is_told() -> None:
    everything = knowledge([record("tiny", judge="logits"), record("tiny", lmdeploy="0.16.0", lock=B, judge="logits")])
    choice = choose(everything, "tiny", "pytorch", Target(gpu_gib=8))
    assert choice.best is None
    assert choice.beyond is not None
    assert (choice.beyond.lmdeploy, choice.runner_up and choice.runner_up.lmdeploy) == ("0.18.0", "0.16.0")
    assert room_words(everything, choice) == "none fits 8 GiB; with 20 GiB"
    wide = choose(everything, "tiny", "pytorch", Target(gpu_gib=24))
    assert wide.best is not None
    assert (wide.beyond, room_words(everything, wide)) == (None, "")
    other = choose(everything, "tiny", "pytorch", Target(python="3.8", gpu_gib=8))
    assert other.beyond is None

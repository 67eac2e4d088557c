"""The parts of running on many machines, each alone: shards, order, budget, what a boot demands of a host."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from harness.core.machine import machine
from harness.matrix import Combination
from harness.matrix.combination import TargetMachine
from harness.matrix.models import load_models
from harness.matrix.schema import Backend
from harness.results.store import Known, ResultStore
from harness.scheduling.budget import Budget
from harness.scheduling.executors.ray_resources import advertised, conditions, demanded
from harness.scheduling.merge import merge, part_of, write_part
from harness.scheduling.priority import InTurn, MostInformative, predictions_of
from harness.scheduling.shards import Shard, UnusableShards
from tests.miniatures import make_project
from tests.report.samples import grid

if TYPE_CHECKING:
    from pathlib import Path

    from harness.core.records import Record
    from harness.matrix.models import ModelSpec

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


def known(one: Combination, verdict: str) -> Known:
    record = record_of(one, verdict)
    return Known(one.id, 1, "", verdict, record.model_dump_json().encode())


def test_the_order_halves_the_stretch_in_which_a_verdict_changes() -> None:
    order = MostInformative()
    ends = {LINE[0].id: known(LINE[0], "fail/import/crash(x)"), LINE[8].id: known(LINE[8], "pass")}
    order.begin([(each,) for each in LINE[1:8]], ends)
    taken = []
    for _ in range(3):
        work = order.take()
        assert work is not None
        taken.append(work[0])
        order.learn(record_of(work[0], "pass" if LINE.index(work[0]) >= 3 else "fail/import/crash(x)"))
    assert taken == [LINE[4], LINE[2], LINE[3]]


def test_the_scans_boundary_is_tried_first() -> None:
    words = ["fail"] * 6 + ["pass"] * 3
    scan = {
        "model": "mini on the pytorch engine, Python 3.11",
        "rows": ["1.0"],
        "columns": [each.transformers for each in LINE],
        "cells": [[{"prediction": word} for word in words]],
    }
    order = MostInformative(predictions_of(scan, LINE))
    order.begin([(each,) for each in LINE], {})
    first, second = order.take(), order.take()
    assert {first, second} == {(LINE[5],), (LINE[6],)}


@pytest.mark.parametrize("order", [InTurn(), MostInformative()])
def test_an_order_gives_out_everything_once(order: InTurn | MostInformative) -> None:
    order.begin([(each,) for each in LINE], {})
    given: list[Combination] = []
    while (work := order.take()) is not None:
        given += work
    assert sorted(each.id for each in given) == sorted(each.id for each in LINE)


def test_a_budget_of_gpu_time_stops_before_a_boot_that_would_not_fit() -> None:
    sample = next(each for each in grid(200) if each.stages and each.stages[-1].checks)
    stage = sample.stages[-1]
    check = stage.checks[0].model_copy(update={"facts": {"gpu": {}}, "seconds": 40.0, "reused": False})
    booted = sample.model_copy(update={"stages": [stage.model_copy(update={"checks": [check]})]})
    budget = Budget(gpu=100.0)
    budget.begin()
    budget.spend(booted)
    assert not budget.exhausted()
    budget.spend(booted)
    assert budget.exhausted()
    assert not budget.overdue()
    assert budget.spent_gpu == 80.0
    budget = Budget(gpu=100.0)
    again = check.model_copy(update={"reused": True})
    budget.spend(sample.model_copy(update={"stages": [stage.model_copy(update={"checks": [again]})]}))
    assert budget.spent_gpu == 0.0


def test_shards_are_the_whole_and_merge_only_when_complete(tmp_path: Path) -> None:
    folders = []
    everything: list[str] = []
    for index in (1, 2, 3):
        mine, part = part_of(LINE, Shard(index=index, count=3))
        folder = tmp_path / f"part-{index}"
        folders.append(folder)
        write_part(folder, part)
        for each in mine:
            ResultStore(folder).append(record_of(each, "pass").model_copy(update={"run": f"run-{index}"}))
        everything += [each.id for each in mine]
    assert sorted(everything) == sorted(each.id for each in LINE)
    store = ResultStore(tmp_path / "whole")
    for wrong, said in (
        (folders[:2], "missing: 3"),
        ([*folders, folders[0]], "twice: 1"),
        ([], "no shards"),
        ([tmp_path], "not the reports folder of a shard"),
    ):
        with pytest.raises(UnusableShards, match=said):
            merge(wrong, store)
    assert not store.file.exists()
    assert merge(folders, store).taken == len(LINE)
    assert merge(folders, store).known == len(LINE)
    assert {each.run for each in store.records()} == {"run-1"}
    lines = (folders[0] / "results.jsonl").read_text().splitlines(keepends=True)
    (folders[0] / "results.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(UnusableShards, match="has no record of 1 of its"):
        merge(folders, store)
    other = part_of(LINE[1:], Shard(index=3, count=3))[1]
    write_part(folders[2], other)
    with pytest.raises(UnusableShards, match="different runs"):
        merge(folders, store)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return load_models(make_project(tmp_path / "project").root / "models")["mini"]


def test_a_boot_goes_only_where_its_target_is_met(spec: ModelSpec) -> None:
    target = TargetMachine(gpu_memory_gib=40, driver=">=550", compute_capability=">=8.0")
    one = combination("4.0.0", target)
    large = {"gpus": ["L"], "gpu_memory_mib": [81559], "gpu_capability": ["9.0"], "driver": "570.86.15"}
    hosts = {
        "fits": machine().model_copy(update=large),
        "old driver": machine().model_copy(update={**large, "driver": "535.1"}),
        "old card": machine().model_copy(update={**large, "gpu_capability": ["7.5"]}),
        "small card": machine().model_copy(update={**large, "gpu_memory_mib": [24564]}),
        "no card": machine().model_copy(
            update={"gpus": [], "gpu_memory_mib": [], "gpu_capability": [], "driver": None}
        ),
    }
    for name, host in hosts.items():
        node = {"CPU": 8.0, "GPU": float(len(host.gpus)), **advertised(host, [one])}
        node["gpu_memory_mib"] = float(min(host.gpu_memory_mib, default=0))
        demand = demanded(one, spec, [node])
        assert (demand is not None) == (name == "fits"), name
        if demand is not None:
            assert demand["GPU"] == 0.51  # 40 of 79.6 GiB, rounded up
            assert set(demand) == {"GPU", *conditions(target)}
    assert demanded(replace(one, target=ANY), spec, [{"GPU": 1.0}]) == {"GPU": 1.0}

"""What a boot demands of a host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.core.machine import machine
from harness.matrix.combination import TargetMachine
from harness.matrix.model_files import load_models
from harness.scheduling.executors.ray_resources import advertised, conditions, demanded
from tests.miniatures import make_project
from tests.scheduling.samples import ANY, combination

if TYPE_CHECKING:
    from pathlib import Path

    from harness.matrix.models import ModelSpec


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

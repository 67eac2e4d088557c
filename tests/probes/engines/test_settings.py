"""The engine's settings: what a version has of them, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from harness.probes.engines import settings
from harness.probes.running.events import Failed
from tests.probes.samples import install, request_for

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class PytorchEngineConfig:
    """A version's engine settings."""

    session_len: int | None = None
    eager_mode: bool = False


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "lmdeploy", PytorchEngineConfig=PytorchEngineConfig)


def test_what_is_asked_for_goes_before_the_smoke_tests_own_and_of_those_only_what_the_version_has(
    tmp_path: Path,
) -> None:
    request = request_for(tmp_path)
    smoke = {"session_len": 9, "eager_mode": True, "max_batch_size": 4}
    request.engine.update(settings={"session_len": 64}, smoke=smoke)
    made, used = settings.engine_settings(request)
    assert made == PytorchEngineConfig(session_len=64, eager_mode=True)
    assert used == {"session_len": 64, "eager_mode": True}


def test_a_setting_that_this_version_lacks_is_refused(tmp_path: Path) -> None:
    request = request_for(tmp_path)
    request.engine.update(settings={"quant_policy": 8})
    with pytest.raises(Failed, match="PytorchEngineConfig has no quant_policy") as refused:
        settings.engine_settings(request)
    assert refused.value.reason == "config-schema-drift"


def test_settings_are_named_as_the_servers_options() -> None:
    told = {"session_len": 64, "eager_mode": True, "enable_prefix_caching": False}
    assert settings.flags(told) == ["--session-len", "64", "--eager-mode"]


@pytest.mark.parametrize(("card", "weights", "share"), [(8192, 4219, 0.36), (81920, 4219, 0.8), (2048, 10, 0.13)])
def test_the_cache_leaves_room_to_work_on_the_targets_card(card: float, weights: float, share: float) -> None:
    assert round(settings.cache_share(card, card, weights), 2) == share


def test_what_the_matrix_tells_the_engine_is_tried_in_its_configuration() -> None:
    engine = {"configuration": "PytorchEngineConfig"}
    assert settings.told_settings(engine, {"session_len": 64}) == {"session_len": 64}
    with pytest.raises(Failed, match="PytorchEngineConfig has no tp"):
        settings.told_settings(engine, {"tp": 2})


def test_what_an_engine_has_is_read_back_and_another_value_fails() -> None:
    engine = SimpleNamespace(
        scheduler_config=SimpleNamespace(max_session_len=1024),
        cache_config=SimpleNamespace(quant_policy=8, max_batches=2),
        model_config=SimpleNamespace(dtype="torch.bfloat16"),
        engine_config=SimpleNamespace(session_len=None, tp=1),
    )
    asked = {"session_len": 1024, "quant_policy": 8, "max_batch_size": 2, "dtype": "bfloat16"}
    assert settings.read_back(engine, asked) == asked
    assert settings.read_back(engine, {"dtype": "auto"}) == {"dtype": "bfloat16"}
    with pytest.raises(Failed, match="asked for tp=2 and the engine has 1"):
        settings.read_back(engine, {"tp": 2})

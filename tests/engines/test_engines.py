"""The dictionary of backends: it is whole, and what it names is there."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING

import pytest
from pydantic import JsonValue, ValidationError

from harness.core.verdict import Stage
from harness.engines import CHECKS, ENGINES, LAUNCHES, Backend, Launch, Needs, configuration_of
from harness.engines.launch_script import launch_script, question_in_python, server_command
from harness.engines.settings import settings_in, settings_text

if TYPE_CHECKING:
    from harness.engines.engine import Configuration

PROBES = "harness.probes"


def test_every_backend_and_every_way_to_start_is_known() -> None:
    assert set(ENGINES) == set(Backend)
    assert set(LAUNCHES) == set(Launch)


@pytest.mark.parametrize("name", CHECKS)
def test_the_probe_of_a_check_is_there(name: str) -> None:
    module, function = CHECKS[name].probe.split(":")
    assert callable(getattr(importlib.import_module(f"{PROBES}.{module}"), function))


@pytest.mark.parametrize("backend", Backend)
def test_a_backends_probes_are_in_the_module_of_its_name(backend: Backend) -> None:
    asked = (
        ("boot",) if backend.engine.configuration is None else ("boot", "prepare", "require_support", "configuration")
    )
    module = importlib.import_module(f"{PROBES}.engines.{backend}")
    assert all(callable(getattr(module, name)) for name in asked)


@pytest.mark.parametrize("launch", [each for each in Launch if LAUNCHES[each].boot])
def test_a_way_to_boot_is_a_module_of_the_probes(launch: Launch) -> None:
    assert callable(importlib.import_module(f"{PROBES}.engines.{LAUNCHES[launch].boot}").boot)


@pytest.mark.parametrize("backend", Backend)
def test_a_backends_checks_lead_to_the_smoke_test_in_the_order_of_the_stages(backend: Backend) -> None:
    places = [check.stages[0].position for check in backend.engine.checks]
    assert places == sorted(places)
    last = backend.engine.checks[-1]
    assert last.stages[-1] is Stage.STRUCTURE
    assert Needs.CHECKPOINT in last.needs


def test_a_name_means_one_check() -> None:
    assert {check for backend in Backend for check in backend.engine.checks} <= set(CHECKS.values())


@pytest.fixture(params=[each for each in Backend if configuration_of(each) is not None])
def configuration(request: pytest.FixtureRequest) -> Configuration:
    found = configuration_of(request.param)
    assert found is not None
    return found


def test_only_lmdeploys_engines_have_a_configuration() -> None:
    assert configuration_of("transformers") is None
    assert configuration_of("of an old record") is None


def test_settings_that_an_engine_does_not_have_are_refused(configuration: Configuration) -> None:
    assert configuration.settings("none", {"tp": 2}).fields == {"tp": 2}
    for wrong in ({"no_such_setting": 1}, {"tp": 0}, {"quant_policy": 3}):
        with pytest.raises(ValidationError):
            configuration.settings("none", wrong)


def test_quantised_weights_are_told_to_the_engine_that_has_to_be_told() -> None:
    told = {backend: found.settings("awq-int4").fields for backend in Backend if (found := configuration_of(backend))}
    assert told == {"pytorch": {}, "turbomind": {"model_format": "awq"}}


def test_what_is_recommended_is_python_and_a_command_with_the_settings(configuration: Configuration) -> None:
    settings = {"session_len": 8192, "eager_mode": True}
    for text in (
        launch_script(configuration, "folder/with 'quotes'", settings),
        question_in_python(configuration, "folder/with 'quotes'", settings),
    ):
        compile(text, "launch_server.py", "exec")
        assert "EngineConfig(session_len=8192, eager_mode=True)" in text
    command = server_command(configuration, "with space", settings)
    assert command.startswith(f"lmdeploy serve api_server 'with space' --backend {configuration.backend} ")
    assert command.endswith("--session-len 8192 --eager-mode --server-port 23333")


@pytest.mark.parametrize("launch", [each for each in Launch if LAUNCHES[each].script is not None])
def test_a_way_to_start_that_is_a_script_is_python_with_a_main(launch: Launch, configuration: Configuration) -> None:
    script = LAUNCHES[launch].script
    assert script is not None
    tree = ast.parse(script(configuration, "folder/with 'quotes'", {}))
    assert "main" in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("launch", [each for each in Launch if LAUNCHES[each].script is not None])
def test_what_the_engine_is_told_is_in_the_script_or_it_cannot_be_told(
    launch: Launch, configuration: Configuration
) -> None:
    style = LAUNCHES[launch]
    assert style.script is not None
    text = style.script(configuration, "folder", {"tp": 2})
    assert (("tp=2" in text) or ("'--tp', '2'" in text)) is style.tells


def test_settings_are_read_back_as_they_are_written() -> None:
    told: dict[str, JsonValue] = {"tp": 2, "eager_mode": True, "cache_max_entry_count": 0.4, "dtype": "float16"}
    assert settings_text(told) == "tp=2 eager_mode=true cache_max_entry_count=0.4 dtype=float16"
    assert settings_in(settings_text(told)) == told
    assert settings_in("") == {}

"""Each check as a whole process, over made-up packages: what passes, what fails, and for which reason."""

from __future__ import annotations

import venv
from typing import TYPE_CHECKING

import pytest

from harness.probes.running.driver import driver_present
from tests.probes.probing import Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own without any package."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture
def session(interpreter: Path, tmp_path: Path) -> Session:
    return Session(interpreter, tmp_path)


OLD_LMDEPLOY = {
    "triton/__init__.py": "",
    "lmdeploy/archs.py": "",
    "lmdeploy/serve/async_engine.py": "",
    "lmdeploy/serve/vl_async_engine.py": "import lmdeploy.vl.engine",
    "lmdeploy/vl/engine.py": "",
    "lmdeploy/pytorch/engine/engine.py": "",
}


def test_engine_modules_asks_only_for_modules_that_the_version_has(session: Session) -> None:
    session.install(OLD_LMDEPLOY)
    told = session.ask("engine-modules")
    assert told.result["outcome"] == "pass"
    assert list(told.facts["modules"]) == [
        "lmdeploy.archs",
        "lmdeploy.serve.async_engine",
        "lmdeploy.serve.vl_async_engine",
        "lmdeploy.vl.engine",
        "triton",
        "lmdeploy.pytorch.engine.engine",
    ]


def test_kernel_modules_load_over_stand_ins_where_there_is_no_driver(session: Session) -> None:
    session.install(
        {
            **OLD_LMDEPLOY,
            "torch/__init__.py": """
                class cuda:
                    def get_device_capability():
                        raise RuntimeError("Found no NVIDIA driver on your system.")
            """,
            "triton/backends/compiler.py": "def GPUTarget(backend, arch, warp): return backend",
            "triton/runtime/driver.py": """
                class driver:
                    active = None
                    def set_active(active):
                        driver.active = active
            """,
            "lmdeploy/pytorch/backends/cuda/graph_runner.py": """
                import torch
                from triton.runtime.driver import driver
                assert driver.active.get_current_target() == "cuda"
                assert torch.cuda.get_device_capability()[0] >= 9
            """,
        }
    )
    told = session.ask("engine-modules")
    if driver_present():
        pytest.skip("this machine has a driver, so nothing is stood in for")
    assert told.result["outcome"] == "pass"
    assert "over stand-ins" in told.result["message"]
    assert told.facts["stand_ins"]["used"] is True


def test_engine_modules_names_the_module_that_fails_and_those_before_it(session: Session) -> None:
    session.install({**OLD_LMDEPLOY, "lmdeploy/vl/engine.py": "import not_there"})
    told = session.ask("engine-modules")
    assert told.result["exception"]["message"] == "No module named 'not_there'"
    assert told.facts["failed_module"] == "lmdeploy.serve.vl_async_engine"
    assert list(told.facts["modules"]) == ["lmdeploy.archs", "lmdeploy.serve.async_engine"]


def test_a_module_needed_by_some_requests_only_is_a_fact(session: Session) -> None:
    session.install({**OLD_LMDEPLOY, "lmdeploy/pytorch/engine/guided_process.py": "import outlines.fsm"})
    told = session.ask("engine-modules")
    assert told.result["outcome"] == "pass"
    assert told.facts["optional_modules"] == {
        "lmdeploy.pytorch.engine.guided_process": "ModuleNotFoundError: No module named 'outlines'"
    }


def test_model_requirements_stop_at_the_first_failure(session: Session) -> None:
    session.install(
        {"generator/__init__.py": "import generator.helper, gone", "generator/helper.py": "", "good.py": ""}
    )
    told = session.ask("model-requirements", model={"imports": ["good", "generator", "generator.helper"]})
    assert told.result["exception"]["message"] == "No module named 'gone'"
    assert told.facts["failed_module"] == "generator"
    assert list(told.facts["modules"]) == ["good"]


def test_a_model_without_requirements_has_nothing_to_import(session: Session) -> None:
    told = session.ask("model-requirements")
    assert (told.result["outcome"], told.result["message"]) == ("pass", "the model imports nothing of its own")


TRANSFORMERS = {
    "transformers/__init__.py": """
        from transformers.auto import AutoProcessor

        def __dir__():
            return ["Arch", "Broken", "Placeholder", "AutoProcessor"]

        def __getattr__(name):
            if name == "Arch":
                from transformers.arch import Arch
                return Arch
            if name == "Broken":
                import transformers.broken
            if name == "Placeholder":
                from transformers.utils.dummy_pt_objects import Placeholder
                return Placeholder
            raise AttributeError(f"module transformers has no attribute {name}")
    """,
    "transformers/auto.py": "class AutoProcessor: pass",
    "transformers/arch.py": "class Arch: pass",
    "transformers/broken.py": "from torchvision import io",
    "transformers/utils/dummy_pt_objects.py": "class Placeholder:\n    _backends = ['torch']",
    "transformers/models/auto/configuration_auto.py": "CONFIG_MAPPING_NAMES = {}",
    "transformers/models/auto/processing_auto.py": "PROCESSOR_MAPPING_NAMES = {}",
}


@pytest.mark.parametrize(
    ("architecture", "outcome", "reason", "words"),
    [
        ("Arch", "pass", None, ""),
        ("Broken", "fail", None, "No module named 'torchvision'"),
        ("Placeholder", "fail", "missing-dependency", "only a place-holder for Placeholder: it needs torch"),
        ("Unheard", "fail", None, "has no attribute Unheard"),
    ],
)
def test_the_models_class_is_really_loaded(
    session: Session, architecture: str, outcome: str, reason: str | None, words: str
) -> None:
    session.install(TRANSFORMERS)
    result = session.ask("transformers-model", "transformers", model={"architecture": architecture}).result
    assert (result["outcome"], result["reason"]) == (outcome, reason)
    assert words in result["message"]


def test_a_models_own_code_that_is_not_here_blocks(session: Session) -> None:
    session.install(TRANSFORMERS)
    model = {"architecture": "QWenLMHeadModel", "trust_remote_code": True}
    result = session.ask("transformers-model", "transformers", model=model).result
    assert (result["outcome"], result["reason"]) == ("blocked", "weights-missing-or-corrupt")


COMMAND_LINE = {
    "lmdeploy/__init__.py": "def pipeline(): pass",
    "lmdeploy/cli/entrypoint.py": """
        import sys
        def run():
            print("usage: lmdeploy", sys.argv[1:], "--backend")
            raise SystemExit(0)
    """,
    "lmdeploy/serve/openai/api_server.py": "import not_there",
}


def test_entry_points_are_facts_as_long_as_the_command_line_loads(session: Session) -> None:
    session.install(COMMAND_LINE)
    told = session.ask("entry-points")
    assert told.result["outcome"] == "pass"
    assert told.facts["entry_points"] == {
        "lmdeploy serve api_server": "exists",
        "lmdeploy.pipeline": "exists",
        "lmdeploy.serve.openai.api_server:serve": "ModuleNotFoundError: No module named 'not_there'",
        "python -m lmdeploy.serve.api_server": "missing",
    }


def test_a_command_line_without_the_server_fails(session: Session) -> None:
    refuse = "import sys\ndef run():\n    print('invalid choice: serve', file=sys.stderr)\n    raise SystemExit(2)"
    session.install({**COMMAND_LINE, "lmdeploy/cli/entrypoint.py": refuse})
    result = session.ask("entry-points").result
    assert (result["outcome"], result["reason"]) == ("fail", "entrypoint-moved-or-misused")
    assert result["message"] == "invalid choice: serve"


def test_the_legacy_module_is_started_as_people_do(session: Session) -> None:
    session.install({"lmdeploy/serve/__init__.py": ""})
    told = session.ask("launch-module")
    assert told.result["exception"]["type"] == "ModuleNotFoundError"
    assert told.result["exception"]["message"] == "No module named lmdeploy.serve.api_server"
    assert told.facts["exit_status"] == 1


def test_a_legacy_module_that_exists_passes(session: Session) -> None:
    session.install({"lmdeploy/serve/api_server.py": "print('usage')"})
    assert session.ask("launch-module").result["outcome"] == "pass"


SERVER = {
    "uvicorn.py": "def run(*_, **__): raise AssertionError('listening')",
    "lmdeploy/serve/openai/api_server.py": """
        import uvicorn
        def serve(folder, backend, backend_config):
            assert backend == "pytorch"
            start(backend_config)
            uvicorn.run(app=None)
        def start(backend_config):
            backend_config.device_type
    """,
}


def test_a_server_without_a_backend_configuration_fails_as_its_version_does(session: Session) -> None:
    session.install(SERVER)
    result = session.ask("no-backend-config", model={"folder": str(session.folder)}).result
    assert (result["stage"], result["outcome"]) == ("boot", "fail")
    assert result["exception"]["message"] == "'NoneType' object has no attribute 'device_type'"


def test_a_server_that_gets_as_far_as_listening_passes(session: Session) -> None:
    text = SERVER["lmdeploy/serve/openai/api_server.py"].replace("backend_config.device_type", "pass")
    session.install({**SERVER, "lmdeploy/serve/openai/api_server.py": text})
    result = session.ask("no-backend-config", model={"folder": str(session.folder)}).result
    assert (result["outcome"], result["message"]) == ("pass", "the server came up to where it listens")


LISTS = {"lmdeploy/pytorch/models/module_map.py": "MODULE_MAP = {'Arch': ''}\nREMOVED_MODEL_MAP = {'Old': 'Qwen'}"}


@pytest.mark.parametrize(
    ("architecture", "outcome", "words"),
    [
        ("Arch", "pass", ""),
        ("Old", "fail", "support for Qwen (Old) was removed"),
        ("New", "fail", "New is not among the pytorch engine's architectures"),
    ],
)
def test_support_is_read_from_the_versions_own_lists(
    session: Session, architecture: str, outcome: str, words: str
) -> None:
    session.install(LISTS)
    model = {"architecture": architecture, "config_folder": str(session.folder)}
    told = session.ask("backend-support", model=model)
    assert (told.result["outcome"], told.result["message"]) == (outcome, words)
    assert told.result["reason"] == (None if outcome == "pass" else "architecture-unsupported")
    assert told.facts["backend_support"]["pytorch_architectures"] == ["Arch"]


@pytest.mark.parametrize("check", ["backend-support", "model-config", "model-graph", "image-and-prompt", "two-pass"])
def test_a_model_that_is_not_here_blocks(session: Session, check: str) -> None:
    session.install(LISTS)
    result = session.ask(check, "transformers" if check == "two-pass" else "pytorch").result
    assert (result["outcome"], result["reason"]) == ("blocked", "weights-missing-or-corrupt")

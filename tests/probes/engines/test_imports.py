"""Modules, looked up and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.probes.engines import imports
from harness.probes.running.driver import driver_present

if TYPE_CHECKING:
    from pathlib import Path

    from tests.probes.samples import Session


def test_existence_is_looked_up_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up_package"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "sub" / "__init__.py").touch()
    (package / "module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = {name: imports.exists(f"made_up_package{name}") for name in ("", ".module", ".sub", ".gone", ".sub.gone")}
    assert found == {"": True, ".module": True, ".sub": True, ".gone": False, ".sub.gone": False}
    assert imports.exists("no_such_package.module") is False


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
        "lmdeploy.pytorch.engine",
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

"""What belongs together, and what things are called."""

from __future__ import annotations

import pytest

from harness.diagnose import Evidence, classify
from harness.diagnose.commands import commands_of
from harness.diagnose.packages import companion, wheel_of

MISMATCH = "RuntimeError: operator torchvision::nms does not exist\n"


@pytest.mark.parametrize(
    ("message", "wheel"),
    [
        ("libcudnn.so.9: cannot open shared object file", "nvidia-cudnn-cu12==9.*"),
        ("libcudart.so.11.0: cannot open shared object file", "nvidia-cuda-runtime-cu11"),
        ("libcublas.so.13: cannot open shared object file", "nvidia-cublas"),
        ("Could not load library libcudnn_ops.so.8. Error: libnvrtc.so: cannot open it", "nvidia-cuda-nvrtc-cu12"),
        ("libc10_cuda.so: cannot open shared object file", ""),
    ],
)
def test_the_wheel_that_holds_a_library(message: str, wheel: str) -> None:
    assert wheel_of(message) == wheel


@pytest.mark.parametrize(
    "looked", ["$ pip freeze\ntorch==2.4.0+cu121\n", "C:\\x>pip show torch\nName: torch\nVersion: 2.4.0+cu121\n"]
)
def test_the_torchvision_of_the_torch_that_is_there_is_told(looked: str) -> None:
    evidence = Evidence.from_log(MISMATCH + looked)
    assert [command.line for command in commands_of(classify(evidence), evidence.installed)] == [
        'uv pip install "torchvision==0.19.0"'
    ]


def test_where_no_torch_is_told_some_pairs_are() -> None:
    assert "2.8: 0.23.0" in companion("torchvision", {})


@pytest.mark.parametrize(
    ("module", "commands"), [("cv2", ['uv pip install "opencv-python-headless"']), ("colleagues_tool", [])]
)
def test_only_what_is_known_to_provide_a_module_is_installed(module: str, commands: list[str]) -> None:
    evidence = Evidence.from_log(f"ModuleNotFoundError: No module named '{module}'\n")
    assert [command.line for command in commands_of(classify(evidence), {})] == commands

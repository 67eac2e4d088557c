"""Installed versions, from files that name them and from what a log says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.diagnose.stack import StackError, read_stack, versions_told

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text",
    [
        "transformers==4.57.3\n",
        "Package      Version\n------------ -------\ntransformers 4.57.3\n",
        "sys.platform: linux\nPython: 3.11.9 (main)\ntransformers: 4.57.3\n",
        "# pins\ntransformers[torch]==4.57.3 ; python_version > '3'\n",
    ],
    ids=["freeze", "pip list", "check_env", "requirements"],
)
def test_what_names_versions_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.txt").write_text(text)
    assert read_stack(tmp_path / "stack.txt")["transformers"] == "4.57.3"


def test_a_lock_is_read(tmp_path: Path) -> None:
    (tmp_path / "pylock.toml").write_text('packages = [{name = "transformers", version = "4.57.3"}]')
    assert read_stack(tmp_path / "pylock.toml") == {"transformers": "4.57.3"}


@pytest.mark.parametrize("text", ["nothing here\n", "== 3\n"])
def test_what_names_no_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.txt").write_text(text)
    with pytest.raises(StackError):
        read_stack(tmp_path / "stack.txt")


@pytest.mark.parametrize(
    "line",
    [
        "$ uv pip install transformers==4.57.3",
        "Successfully installed tokenizers-0.22.1 transformers-4.57.3",
        " + transformers==4.57.3",
        "LMDeploy requires transformers version: [4.33.0 ~ 4.49.0], but found version: 4.57.3",
        "x 1.0 requires transformers<4.50, but you have transformers 4.57.3 which is incompatible.",
        "- transformers version: 4.57.3",
    ],
)
def test_a_log_says_what_is_installed(line: str) -> None:
    assert versions_told(line)["transformers"] == "4.57.3"


@pytest.mark.parametrize("line", ["vllm 0.13.0 depends on torch==2.9.0", "ImportError: torch>=2.9 is required"])
def test_what_somebody_requires_is_not_what_is_installed(line: str) -> None:
    assert versions_told(line) == {}

"""Pip's settings, told to uv where uv has none of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.environments.uv_settings import BadSettings, uv_settings

if TYPE_CHECKING:
    from pathlib import Path

MIRROR = """\
[global]
index-url = https://mirror.invalid/simple
extra-index-url =
    https://one.invalid/simple
    https://two.invalid/simple
[install]
find-links = /wheels /more
"""


@pytest.fixture(autouse=True)
def pip_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of pip's with a mirror, the last to be read, and nothing else set."""
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text(MIRROR)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return config


def told(folder: Path) -> dict[str, str]:
    """What uv is told of indexes."""
    found = uv_settings(folder).variables
    return {name: value for name, value in found.items() if name.startswith("UV_")}


def test_an_index_of_pips_stands_for_uvs_with_all_that_goes_with_it(tmp_path: Path) -> None:
    assert told(tmp_path) == {
        "UV_DEFAULT_INDEX": "https://mirror.invalid/simple",
        "UV_INDEX": "https://one.invalid/simple https://two.invalid/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
    }


def test_a_variable_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.invalid/simple")
    assert told(tmp_path)["UV_DEFAULT_INDEX"] == "https://other.invalid/simple"


def test_what_pip_adds_to_the_public_index_is_its_own_affair(tmp_path: Path, pip_conf: Path) -> None:
    pip_conf.write_text("[global]\nextra-index-url = https://one.invalid/simple\n")
    assert told(tmp_path) == {}


@pytest.mark.parametrize("variable", ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_FIND_LINKS"])
def test_uvs_own_variables_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "https://own.invalid/simple")
    assert told(tmp_path) == {variable: "https://own.invalid/simple"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("uv.toml", '[[index]]\nurl = "https://own.invalid"\n'),
        ("uv.toml", '[pip]\nfind-links = ["/wheels"]\n'),
        ("pyproject.toml", '[tool.uv]\nindex-url = "https://own.invalid"\n'),
    ],
)
def test_uvs_own_files_win(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert told(tmp_path) == {}


def test_a_broken_configuration_of_pips_is_told(tmp_path: Path, pip_conf: Path) -> None:
    pip_conf.write_text("index-url = x\n")
    with pytest.raises(BadSettings, match=r"pip\.conf"):
        uv_settings(tmp_path)

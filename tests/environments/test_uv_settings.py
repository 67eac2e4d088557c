"""Which of uv's settings count: places of packages and ways to them, from the files that uv would read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import UvFailure, offline, run_uv
from harness.environments.uv_settings import BadSettings, installer_variables, uv_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def nobody_s_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without settings, and no variables."""
    for name in ("UV_CONFIG_FILE", "UV_NO_CONFIG", "UV_OFFLINE", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "system"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "setting",
    [
        "compile-bytecode = true",
        'prerelease = "allow"',
        'resolution = "lowest"',
        'override-dependencies = ["torch==1"]',
        'torch-backend = "auto"',
        'required-version = ">=99"',
        'pip = { compile-bytecode = true, prefix = "/", torch-backend = "cpu" }',
        "made-up = 1",
    ],
)
def test_what_runs_packages_or_changes_what_a_version_is_does_not_count(tmp_path: Path, setting: str) -> None:
    write(tmp_path / "uv.toml", setting)
    assert uv_settings(tmp_path).options in ({}, {"pip": {}})


def test_variables_that_do_the_same_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = {
        "UV_INDEX_URL": "https://i.example",
        "UV_INDEX_INNER_PASSWORD": "x",
        "https_proxy": "http://p",
        "UV_CACHE_DIR": "/c",
    }
    others = (
        "UV_COMPILE_BYTECODE",
        "UV_VENV_SEED",
        "UV_PRERELEASE",
        "UV_OVERRIDE",
        "UV_TORCH_BACKEND",
        "UV_PYTHON",
        "UV_INSECURE_NO_ZIP_VALIDATION",
        "PIP_TARGET",
        "PYTHONPATH",
        "HF_TOKEN",
    )
    for name, value in {**counting, **dict.fromkeys(others, "1")}.items():
        monkeypatch.setenv(name, value)
    found = installer_variables()
    assert counting.items() <= found.items()
    assert not found.keys() & set(others)


def test_files_are_put_together_as_uv_does(tmp_path: Path) -> None:
    write(tmp_path / "system" / "uv" / "uv.toml", 'find-links = ["/s"]\nindex-strategy = "unsafe-best-match"\n')
    write(tmp_path / "home" / "uv" / "uv.toml", 'find-links = ["/h"]\noffline = true\npip = { no-index = true }\n')
    write(tmp_path / "a" / "pyproject.toml", '[tool.uv]\nfind-links = ["/p", "w"]\noffline = false\n')
    write(tmp_path / "a" / "b" / "pyproject.toml", "[project]\nname = 'x'\n")
    write(tmp_path / "a" / "b" / "c" / "pyproject.toml", "not TOML")
    settings = uv_settings(tmp_path / "a" / "b" / "c" / "d")
    assert settings.options == {
        "find-links": ["/p", str(tmp_path / "a" / "w"), "/h", "/s"],
        "offline": False,
        "index-strategy": "unsafe-best-match",
        "pip": {"no-index": True},
    }
    assert not settings.offline


def test_a_uv_toml_comes_before_the_project_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.uv]\nindex-url = "https://p.example"\n')
    write(tmp_path / "uv.toml", '[[index]]\nname = "x"\nurl = "packages"\n[[index]]\nurl = "https://i.example"\n')
    assert uv_settings(tmp_path).options == {
        "index": [{"name": "x", "url": str(tmp_path / "packages")}, {"url": "https://i.example"}]
    }


def test_a_named_file_is_the_only_one_and_none_are_read_when_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "uv.toml", "offline = true")
    monkeypatch.chdir(tmp_path)
    assert offline()
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    assert uv_settings(tmp_path).options == {}
    monkeypatch.setenv("UV_CONFIG_FILE", str(write(tmp_path / "named.toml", "no-index = true")))
    assert uv_settings(tmp_path).options == {"no-index": True}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "uv.toml", "index-url = [")
    with pytest.raises(BadSettings, match=str(file)):
        uv_settings(tmp_path)
    with pytest.raises(UvFailure, match=str(file)) as failure:
        run_uv(["--version"], folder=tmp_path)
    assert failure.value.kind == "settings"
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "nowhere.toml"))
    with pytest.raises(BadSettings, match=r"nowhere\.toml"):
        uv_settings(tmp_path)


def test_uv_obeys_what_counts_and_the_file_for_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    settings = 'no-index = true\nfind-links = ["wheels"]\n[[index]]\nurl = "https://user:secret@i.example/simple"\n'
    write(tmp_path / "uv.toml", settings)
    (tmp_path / "wheels").mkdir()
    write(tmp_path / "empty.in", "")
    asked = ["pip", "compile", "--quiet", "--no-header", "--emit-index-url", "--emit-find-links", "empty.in"]
    told = run_uv(asked, folder=tmp_path)
    assert f"--find-links {tmp_path / 'wheels'}" in told
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("UV_DEFAULT_INDEX", "/nowhere/at/all"),
        ("UV_INDEX", "https://i.example name=file:///nowhere/at/all"),
        ("UV_FIND_LINKS", "/,/nowhere/at/all"),
    ],
)
def test_a_place_that_is_not_there_is_no_place_without_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert uv_settings(tmp_path).missing == "/nowhere/at/all"
    with pytest.raises(UvFailure, match="/nowhere/at/all") as failure:
        run_uv(["--version"], folder=tmp_path)
    assert failure.value.kind == "settings"


@pytest.mark.parametrize(
    "setting",
    ['find-links = ["nowhere"]', 'index-url = "nowhere"', '[[index]]\nurl = "nowhere"', 'pip.find-links = ["nowhere"]'],
)
def test_a_place_of_a_file_that_is_not_there_is_told_too(tmp_path: Path, setting: str) -> None:
    write(tmp_path / "uv.toml", setting)
    assert uv_settings(tmp_path).missing == str(tmp_path / "nowhere")

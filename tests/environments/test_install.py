"""Environments as they are after an installation: the lock's packages and nothing that passes for more."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from harness.environments.install import install, installed
from harness.environments.uv import UvFailure
from harness.process.child import Limits
from tests.miniatures import make_wheel

INTERPRETER = Path(sys.executable).resolve()
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that uv knows alone."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


def lay_down(wheels: Path, name: str, files: dict[str, str]) -> Path:
    """Install a wheel with these files; the environment."""
    wheel = make_wheel(wheels, name, "1.0", {f"{name}.py": "", **files})
    requirements = wheels.parent / "requirements.txt"
    requirements.write_text(f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    folder = wheels.parent / "environment"
    install(folder, INTERPRETER, requirements, {name.replace("_", "-"): "1.0"}, Limits())
    return folder


def test_an_ordinary_wheel_is_installed(wheels: Path) -> None:
    folder = lay_down(
        wheels, "some_thing", {"some_thing-1.0.data/data/share/x": "", "some_thing-1.0.data/scripts/y": "#!"}
    )
    assert list(installed(folder)) == [("some-thing", "1.0")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pyvenv.cfg", "thing 1.0 puts a pyvenv.cfg of its own"),
        ("bin/activate", "thing 1.0 puts a bin/activate of its own"),
        ("bin/pyvenv.cfg", "thing 1.0 lays down bin/pyvenv.cfg"),
        ("harness-finished.json", "thing 1.0 lays down harness-finished.json"),
        ("SITE/other-2.0.dist-info/METADATA", "something passes itself off as other 2.0"),
        ("SITE/thing-2.0.dist-info/METADATA", "something passes itself off as thing 2.0"),
        ("lib/python3.0/site-packages/thing-1.0.dist-info/METADATA", "something passes itself off as thing 1.0"),
    ],
)
def test_a_wheel_that_lays_down_more_than_itself_is_found(wheels: Path, path: str, said: str) -> None:
    with pytest.raises(UvFailure, match=said) as failure:
        lay_down(wheels, "thing", {f"thing-1.0.data/data/{path.replace('SITE', SITE)}": "mine"})
    assert failure.value.kind == "laid-over"


def test_what_an_earlier_attempt_left_is_not_built_upon(wheels: Path) -> None:
    folder = wheels.parent / "environment"
    (folder / SITE).mkdir(parents=True)
    (folder / SITE / "old.pth").write_text("import this")
    lay_down(wheels, "thing", {})
    assert not list(folder.rglob("old.pth"))


@pytest.mark.parametrize(("asked", "shared"), [("on", True), ("off", False)])
def test_where_nothing_shuts_packages_in_no_file_is_shared_with_uv_s_cache(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, asked: str, shared: bool
) -> None:
    monkeypatch.setenv("HARNESS_SANDBOX", asked)
    file = lay_down(wheels, "thing", {}) / SITE / "thing.py"
    assert (file.stat().st_nlink > 1) is shared

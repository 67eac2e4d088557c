"""Environments that lost files: found before a version is blamed, and built anew with what was lost fetched again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.environments.environment import Environment, Environments
from harness.environments.resolve import Resolver, ResolveRequest
from harness.environments.wholeness import NotWhole
from harness.process.child import Limits
from tests.miniatures import make_wheel

if TYPE_CHECKING:
    from harness.environments.lock import Lock

INTERPRETER = Path(sys.executable).resolve()
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
FILE = f"{SITE}/some_thing/__init__.py"


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    (tmp_path / "wheels").mkdir()
    make_wheel(tmp_path / "wheels", "some_thing", "1.0", {"some_thing/__init__.py": "x = 1"})
    (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{tmp_path / "wheels"}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("UV_OFFLINE", raising=False)
    request = ResolveRequest(str(INTERPRETER), ("some-thing",))
    found = Resolver(tmp_path / "answers").resolve(request, Limits()).lock
    assert found is not None
    return found


def built(tmp_path: Path, lock: Lock) -> Environment:
    return Environments(tmp_path / "environments").build(lock, INTERPRETER, Limits())


def test_one_that_is_whole_is_used_again(tmp_path: Path, lock: Lock) -> None:
    built(tmp_path, lock).demand_whole()
    again = built(tmp_path, lock)
    assert again.reused
    again.demand_whole()


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("content", [None, b"", b"x = 2\n", b"\0" * 6])
def test_one_that_lost_a_file_is_built_anew_and_the_cache_is_not_believed(
    tmp_path: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch, content: bytes | None, offline: bool
) -> None:
    file = built(tmp_path, lock).folder / FILE
    if offline:
        monkeypatch.setenv("UV_OFFLINE", "1")
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)  # and with it what uv's cache holds
    with pytest.raises(NotWhole, match=r"lacks some_thing/__init__\.py of some-thing"):
        built(tmp_path, lock).demand_whole()
    again = built(tmp_path, lock)
    assert not again.reused
    assert (again.folder / FILE).read_text() == "x = 1\n"


def test_what_a_package_says_falsely_of_itself_is_told_once(tmp_path: Path, lock: Lock) -> None:
    record = built(tmp_path, lock).folder / SITE / "some_thing-1.0.dist-info" / "RECORD"
    os.truncate(record, 0)
    with pytest.raises(NotWhole, match="RECORD"):
        built(tmp_path, lock).demand_whole()
    built(tmp_path, lock).demand_whole()  # new: what is wrong with it now is the package's own


@pytest.mark.usefixtures("lock")
def test_a_file_of_two_packages_is_as_one_of_them_says(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "some_thing_else", "1.0", {"some_thing/__init__.py": "x = 22"})
    request = ResolveRequest(str(INTERPRETER), ("some-thing", "some-thing-else"))
    both = Resolver(tmp_path / "more-answers").resolve(request, Limits()).lock
    assert both is not None
    built(tmp_path, both)
    again = built(tmp_path, both)
    again.demand_whole()
    (again.folder / FILE).write_text("x = 333\n")
    with pytest.raises(NotWhole, match="__init__"):
        again.demand_whole()

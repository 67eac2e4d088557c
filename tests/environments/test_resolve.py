"""What a remembered answer of the resolver holds for: one question, to one set of indexes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from harness.environments import resolve
from harness.environments.resolve import Resolver, ResolveRequest
from harness.environments.uv_settings import uv_settings
from harness.process.child import Limits
from tests.miniatures import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

DATED = ResolveRequest(sys.executable, ("some-thing",), exclude_newer="2026-01-05T00:00:00Z")


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of wheels, ``a`` and ``b``; uv is set to the first."""
    for name, version in (("a", "1.0"), ("b", "2.0")):
        (tmp_path / name).mkdir()
        make_wheel(tmp_path / name, "some_thing", version, {"some_thing.py": ""})
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("UV_OFFLINE", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    set_to(tmp_path / "uv.toml", tmp_path / "a")
    return tmp_path / "uv.toml"


def set_to(file: Path, links: Path, more: str = "") -> None:
    file.write_text(f'no-index = true\nfind-links = ["{links}"]\n{more}')
    resolve._settings.cache_clear()


def asked(tmp_path: Path, request: ResolveRequest = DATED, *, refresh: bool = False) -> tuple[dict[str, str], bool]:
    """The stack, and whether it was remembered."""
    resolution = Resolver(tmp_path / "answers", refresh=refresh).resolve(request, Limits())
    assert resolution.lock is not None
    return dict(resolution.lock.stack), resolution.reused


def test_another_index_gives_another_answer_and_the_first_is_still_known(tmp_path: Path, settings: Path) -> None:
    assert asked(tmp_path) == ({"some-thing": "1.0"}, False)
    set_to(settings, tmp_path / "b")
    assert asked(tmp_path) == ({"some-thing": "2.0"}, False)
    set_to(settings, tmp_path / "a")
    assert asked(tmp_path) == ({"some-thing": "1.0"}, True)


@pytest.mark.parametrize("more", ['index-strategy = "unsafe-best-match"', 'exclude-newer = "2026-01-01"'])
def test_a_setting_that_decides_asks_anew(tmp_path: Path, settings: Path, more: str) -> None:
    asked(tmp_path)
    set_to(settings, tmp_path / "a", more)
    assert asked(tmp_path)[1] is False


@pytest.mark.parametrize("more", ['link-mode = "copy"', "concurrent-downloads = 3"])
def test_a_setting_that_does_not_decide_asks_nobody(tmp_path: Path, settings: Path, more: str) -> None:
    asked(tmp_path)
    set_to(settings, tmp_path / "a", more)
    assert asked(tmp_path)[1] is True


def test_refresh_asks_again_once_and_for_dated_questions_too(tmp_path: Path) -> None:
    asked(tmp_path)
    resolver = Resolver(tmp_path / "answers", refresh=True)
    assert [resolver.resolve(DATED, Limits()).reused for _ in range(2)] == [False, True]


def test_what_came_from_a_list_of_files_is_known_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(tmp_path)
    later = time.time() + resolve.REMEMBERED_FOR + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert asked(tmp_path)[1] is False


def test_another_login_is_no_other_index(tmp_path: Path, settings: Path) -> None:
    settings.write_text('index-url = "https://user:one@i.example/simple"\n')
    one = uv_settings(tmp_path).decisive
    settings.write_text('index-url = "https://user:two@i.example/simple"\n')
    assert uv_settings(tmp_path).decisive == one
    settings.write_text('index-url = "https://user:two@j.example/simple"\n')
    assert uv_settings(tmp_path).decisive != one


def test_what_is_kept_stays_unless_something_demands_another(tmp_path: Path) -> None:
    make_wheel(tmp_path / "a", "some_thing", "1.1", {"some_thing.py": ""})
    for demanded, version in (("some-thing", "1.0"), ("some-thing>1", "1.1")):
        request = ResolveRequest(sys.executable, (demanded,), kept=("some-thing==1.0",))
        assert asked(tmp_path, request) == ({"some-thing": version}, False)

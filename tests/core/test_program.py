from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING

import pytest

from harness.core import program

if TYPE_CHECKING:
    from collections.abc import Iterator


class Installed:
    """A distribution, as far as it is asked."""

    def __init__(self, origin: object) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        """Where it says that it came from."""
        assert name == "direct_url.json"
        return None if self.origin is None else json.dumps(self.origin)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    program._start.cache_clear()
    yield
    program._start.cache_clear()


@pytest.mark.parametrize(
    ("origin", "start"),
    [
        (None, "uvx lmdeploy-harness"),
        ({"url": "file:///home/me/clone", "dir_info": {"editable": True}}, "uvx --from . lmdeploy-harness"),
        ({"url": "file:///tmp/a.whl", "archive_info": {}}, "uvx lmdeploy-harness"),
        (
            {"url": "https://git.example/h.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "uvx --from git+https://git.example/h.git@abc lmdeploy-harness",
        ),
    ],
)
def test_the_command_starts_the_harness_that_ran(origin: object, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "distribution", lambda _name: Installed(origin))
    assert program.command("run", "a b") == f"{start} run 'a b'"


def test_straight_from_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(program, "distribution", none)
    assert program.command("plan") == "uvx --from . lmdeploy-harness plan"

"""Fixtures of several tests of the probes."""

from __future__ import annotations

import venv
from typing import TYPE_CHECKING

import pytest

from harness.probes.running.events import Events
from tests.probes.samples import Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(str(tmp_path / "events.jsonl"))


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own without any package."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture
def session(interpreter: Path, tmp_path: Path) -> Session:
    return Session(interpreter, tmp_path)

"""Under what probes run on this host, and that it is told before any does."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.process.probing import SWITCH, sandbox_of_this_host
from harness.process.sandbox import ENTERED
from harness.scheduling.executors.local import LocalExecutor

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def start(scratch: Path) -> None:
    """A local run of nothing."""
    worker: Any = SimpleNamespace(services=SimpleNamespace(check_runner=SimpleNamespace(scratch=scratch)))
    outlet: Any = SimpleNamespace()
    LocalExecutor(1).start(outlet, worker, 0)


def test_a_host_with_namespaces_is_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert sandbox_of_this_host() == ENTERED
    with caplog.at_level(logging.WARNING):
        start(tmp_path)
    assert caplog.messages == []


def test_a_sandbox_that_is_switched_off_is_told_before_anything_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "off")
    with caplog.at_level(logging.WARNING):
        start(tmp_path)
    (message,) = caplog.messages
    assert message.startswith("probes run without a sandbox (none: switched off")

"""What goes on behind the caller."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from harness.probes.running import background

if TYPE_CHECKING:
    import pytest


def test_what_ends_a_thread_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _ended: None)
    background.watch_threads()
    before = background.FAILURES.count
    thread = threading.Thread(target=[].pop)
    thread.start()
    thread.join()
    assert background.FAILURES.count == before + 1
    assert isinstance(background.FAILURES.last, IndexError)

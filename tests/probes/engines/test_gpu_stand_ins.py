"""Stand-ins for what needs a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.probes.engines import gpu_stand_ins
from tests.probes.samples import install


def test_stand_ins_are_not_used_where_there_is_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_stand_ins, "driver_present", lambda: True)
    assert gpu_stand_ins.install(triton=True) == {"used": False}


def test_stand_ins_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_stand_ins, "driver_present", lambda: False)
    cuda = SimpleNamespace()
    install(monkeypatch, "torch", cuda=cuda)
    active: list[Any] = []
    install(monkeypatch, "triton.backends.compiler", GPUTarget=lambda *target: target)
    install(monkeypatch, "triton.runtime.driver", driver=SimpleNamespace(set_active=active.append))
    told = gpu_stand_ins.install(triton=True)
    assert told["used"] is True
    assert set(told["replaced"]) == {"triton.runtime.driver"} | {
        f"torch.cuda.{name}" for name in vars(cuda) if name[0] != "_"
    }
    assert active[0].get_current_target() == ("cuda", 90, 32)
    with pytest.raises(RuntimeError, match="stand-in"):
        active[0].get_benchmarker()()

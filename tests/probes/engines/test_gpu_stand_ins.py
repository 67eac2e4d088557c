"""Stand-ins for what needs a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.probes.engines import gpu_stand_ins, native
from tests.probes.samples import install


def test_a_stand_in_takes_what_module_level_code_does_with_an_extension() -> None:
    extension: Any = native.StandIn("_turbomind")

    def annotated(tensors: extension.TensorMap) -> extension.DataType.TYPE_FP16:
        return tensors

    settings = extension.AttentionConfig(head_dim=128)
    settings.rope.base = 10_000.0
    assert settings.rope.base == 10_000.0
    assert extension.DataType is extension.DataType
    assert annotated is not None
    with pytest.raises(AttributeError):
        _ = extension.__wrapped__


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

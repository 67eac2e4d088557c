"""What TurboMind's loader reads of a checkpoint, told by miniatures of both generations of it."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.engines import gpu_stand_ins, turbomind, turbomind_weights
from harness.probes.engines.turbomind_weights import View, look, unread, weight_view
from harness.probes.running.request import Model, Request
from tests.probes.samples import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.probes.running.events import Events

TENSORS = {"layers.0.q.weight": 1, "layers.0.q.bias": 2, "head.weight": 3, "visual.a.weight": 4, "visual.b.weight": 5}


class _Readers:
    """The older generation: a reader for each layer, and the model that exports what it gives."""

    def __init__(self, tensors: Mapping[str, int], *, needs: str = "layers.0.q.weight") -> None:
        self.input_model = self
        self.tensors = tensors
        self.needs = needs

    def readers(self) -> Iterator[tuple[int, Any]]:
        yield 0, SimpleNamespace(params={name: each for name, each in self.tensors.items() if "layers" in name})
        yield -1, SimpleNamespace(params={name: each for name, each in self.tensors.items() if "layers" not in name})

    def model(self, index: int, reader: Any) -> None:
        if index == 0:
            assert reader.params[self.needs] == 1
            reader.params.get("layers.0.q.bias")
            reader.params.get("layers.0.k.bias")
        else:
            reader.params.get("head.weight")


def test_readers_are_watched() -> None:
    view = View()
    look(_Readers(TENSORS), "", view)
    assert view.facts() == {
        "tensors": 5,
        "read": 3,
        "never_read": {"visual": 2},
        "asked_in_vain": ["layers.0.k.bias"],
        "missing": [],
    }


def test_parts_of_which_something_is_read_are_told_tensor_by_tensor() -> None:
    view = View(there={"a.b.c", "a.b.d", "a.e.f", "a.e.g"}, read={"a.b.c"})
    assert view.never_read == {"a.b.d": 1, "a.e": 2}


class _Prefix:
    def __init__(self, checkpoint: Any) -> None:
        self.checkpoint = checkpoint


class _Checkpoint:
    def __init__(self, tensors: Mapping[str, int]) -> None:
        self.tensors = tensors

    def get(self, key: str, index: Any = None) -> int:
        assert index is None
        return self.tensors[key]

    def has(self, key: str) -> bool:
        return key in self.tensors

    def keys(self) -> list[str]:
        return list(self.tensors)


class _Builder:
    """Hands tensors to the compiled engine, which is not there."""

    def add_weight(self, _tensor: int) -> None:
        raise AssertionError("nothing is handed over")

    def build(self) -> Any:
        raise AssertionError("nothing is built")


class _Context:
    def __init__(self, devices: list[Any], gemm: Any, data_type: Any) -> None:
        assert data_type == "half"
        assert gemm is not None
        self.devices = devices


class _Asking:
    """The newer generation: a model that asks a checkpoint for what it wants."""

    def bind_runtime(self, *, ctx: Any, root_handles: list[Any], attn_tp: Any, ep: Any) -> None:
        assert len(ctx.devices) == len(root_handles) == attn_tp.size == ep.size
        with ctx.devices[0]:
            pass

    def model(self, prefix: _Prefix) -> None:
        builder = _Builder()
        builder.add_weight(prefix.checkpoint.pop("layers.0.q.weight"))
        if prefix.checkpoint.has("layers.0.k.bias"):
            raise AssertionError("there is none")
        builder.add_weight(prefix.checkpoint.get("head.weight"))
        assert builder.build().handles == []


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Modules of the newer generation, and the tensors of its checkpoint."""
    tensors = dict(TENSORS)
    builders, checkpoints = ModuleType("builders"), ModuleType("checkpoint")
    builders.__dict__.update(
        Builder=_Builder,
        Context=_Context,
        ParallelGroup=lambda size, ranks: SimpleNamespace(size=size, ranks=ranks),
        BuiltModule=lambda handles: SimpleNamespace(handles=handles),
        _torch_dtype_to_cpp=lambda _kind: "half",
    )
    checkpoints.__dict__.update(Prefix=_Prefix, create_checkpoint=lambda _folder, **_mappings: _Checkpoint(tensors))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(float16="float16"))
    monkeypatch.setitem(sys.modules, "lmdeploy.turbomind.builders._base", builders)
    monkeypatch.setitem(sys.modules, "lmdeploy.turbomind.checkpoint", checkpoints)
    for package in ("lmdeploy", "lmdeploy.turbomind", "lmdeploy.turbomind.builders"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    return tensors


@pytest.mark.usefixtures("newer")
def test_a_checkpoint_is_watched_and_nothing_is_handed_over() -> None:
    view = View()
    look(_Asking(), "", view)
    assert view.never_read == {"layers.0.q.bias": 1, "visual": 2}
    assert view.in_vain == {"layers.0.k.bias"}
    assert not view.missing


def checkpoint(folder: Path) -> Request:
    (folder / "model.safetensors").write_bytes(b"0" * 8)
    model = Model(name="one", folder=str(folder), architecture="One")
    return Request("weight-view", "configure", "", "turbomind", "", "", model)


def ask(request: Request, events: Events, model: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(gpu_stand_ins, "install", lambda **_keywords: {})
    monkeypatch.setattr(turbomind, "require_support", lambda *_arguments: None)
    monkeypatch.setattr(turbomind, "plain_settings", lambda: None)
    monkeypatch.setattr(turbomind, "made", lambda *_arguments: model)
    monkeypatch.setattr(turbomind_weights, "on_the_cpu", contextlib.nullcontext)
    weight_view(request, events)
    (result,) = [event for event in written(events) if event["event"] == "result"]
    return result


def test_what_is_never_read_is_told(tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    result = ask(checkpoint(tmp_path), events, _Readers(TENSORS), monkeypatch)
    assert result["outcome"] == "pass"
    assert result["message"].endswith("reads 3 of 5 tensors; never read: visual (2)")


def test_a_tensor_that_is_needed_and_not_there_fails(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ask(checkpoint(tmp_path), events, _Readers(TENSORS, needs="layers.0.qkv.weight"), monkeypatch)
    assert (result["outcome"], result["reason"]) == ("fail", "weights-missing-or-corrupt")
    assert result["message"].endswith("does not have: layers.0.qkv.weight")


def test_what_the_stand_ins_cannot_answer_is_no_failure(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _Readers(TENSORS)
    monkeypatch.setattr(model, "model", lambda *arguments: arguments[9])
    result = ask(checkpoint(tmp_path), events, model, monkeypatch)
    assert result["outcome"] == "pass"
    assert "ended early: IndexError" in result["message"]


def test_a_checkpoint_that_is_not_there_or_too_large_is_not_read(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no checkpoint" in unread(None)
    assert "no safetensors" in unread(str(tmp_path))
    request = checkpoint(tmp_path)
    assert unread(str(tmp_path)) == ""
    monkeypatch.setattr(turbomind_weights, "LARGEST", 4)
    result = ask(request, events, None, monkeypatch)
    assert (result["outcome"], "larger than" in result["message"]) == ("pass", True)

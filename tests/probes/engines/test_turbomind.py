"""TurboMind's extension, and what its converter asks for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.engines import turbomind
from harness.probes.running.events import Blocked, Events, Failed
from tests.probes.samples import install, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An installed extension with given missing libraries, on a machine without a driver."""

    def set_up(*missing: str) -> None:
        monkeypatch.setattr(turbomind, "extension_files", lambda: {"_turbomind": "/e/lmdeploy/lib/_turbomind.so"})
        monkeypatch.setattr(turbomind, "missing_libraries", lambda _file: list(missing))
        monkeypatch.setattr(turbomind, "driver_present", lambda: False)
        monkeypatch.delitem(sys.modules, "_turbomind", raising=False)
        monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))

    return set_up


def test_a_missing_driver_alone_is_stood_in_for(
    events: Events, extension: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    extension("libcuda.so.1")
    assert turbomind.prepare(events, {}) is False
    assert isinstance(sys.modules["_turbomind"], turbomind.StandIn)
    monkeypatch.delitem(sys.modules, "_turbomind")
    (fact,) = written(events)
    assert fact["value"]["missing_libraries"] == ["libcuda.so.1"]
    assert fact["value"]["loaded"].startswith("stand-in")


def test_another_missing_library_fails_even_without_a_driver(events: Events, extension: Callable[..., None]) -> None:
    extension("libcuda.so.1", "libcublas.so.12")
    with pytest.raises(Failed, match=r"needs libcublas\.so\.12$") as caught:
        turbomind.prepare(events, {})
    assert caught.value.reason == "native-library-missing"


def test_a_wheel_without_the_extension_fails(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turbomind, "extension_files", dict)
    with pytest.raises(Failed, match="no _turbomind extension"):
        turbomind.prepare(events, {})


def test_a_stand_in_takes_what_module_level_code_does_with_an_extension() -> None:
    extension: Any = turbomind.StandIn("_turbomind")

    def annotated(tensors: extension.TensorMap) -> extension.DataType.TYPE_FP16:
        return tensors

    settings = extension.AttentionConfig(head_dim=128)
    settings.rope.base = 10_000.0
    assert settings.rope.base == 10_000.0
    assert extension.DataType is extension.DataType
    assert annotated is not None
    with pytest.raises(AttributeError):
        _ = extension.__wrapped__


def test_a_missing_tokenizer_blocks_only_versions_that_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Counting:
        tokenizer_size: int = 0

    install(monkeypatch, "lmdeploy.turbomind.deploy.config", ModelConfig=Counting)
    with pytest.raises(Blocked, match="tokenizer"):
        turbomind.require_tokenizer_where_counted(str(tmp_path))
    (tmp_path / "tokenizer.json").touch()
    turbomind.require_tokenizer_where_counted(str(tmp_path))

"""The engines' native extensions."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from harness.probes.engines import native
from harness.probes.running.events import Events, Failed
from tests.probes.samples import written

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def turbomind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An installed extension with given missing libraries, on a machine without a driver."""

    def set_up(*missing: str) -> None:
        monkeypatch.setattr(native, "extension_files", lambda: {"_turbomind": "/e/lmdeploy/lib/_turbomind.so"})
        monkeypatch.setattr(native, "missing_libraries", lambda _file: list(missing))
        monkeypatch.setattr(native, "driver_present", lambda: False)
        monkeypatch.delitem(sys.modules, "_turbomind", raising=False)
        monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))

    return set_up


def test_a_missing_driver_alone_is_stood_in_for(
    events: Events, turbomind: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    turbomind("libcuda.so.1")
    assert native.prepare_turbomind(events) is False
    assert isinstance(sys.modules["_turbomind"], native.StandIn)
    monkeypatch.delitem(sys.modules, "_turbomind")
    (fact,) = written(events)
    assert fact["value"]["missing_libraries"] == ["libcuda.so.1"]
    assert fact["value"]["loaded"].startswith("stand-in")


def test_another_missing_library_fails_even_without_a_driver(events: Events, turbomind: Callable[..., None]) -> None:
    turbomind("libcuda.so.1", "libcublas.so.12")
    with pytest.raises(Failed, match=r"needs libcublas\.so\.12$") as caught:
        native.prepare_turbomind(events)
    assert caught.value.reason == "native-library-missing"


def test_a_wheel_without_the_extension_fails(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "extension_files", dict)
    with pytest.raises(Failed, match="no _turbomind extension"):
        native.prepare_turbomind(events)

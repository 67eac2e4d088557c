"""What transformers is asked with: ids alone, and ids with an image that another version's processor prepared."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.emulation import reference
from harness.probes.emulation.reference import GPU_PACKAGES, NEWER, Reference

if TYPE_CHECKING:
    from collections.abc import Callable


class Ids(list[int]):
    """Token ids, as far as they are compared with one."""

    def __eq__(self, other: object) -> Any:
        return Ids(int(each == other) for each in self)

    __hash__ = None

    def any(self) -> bool:
        """Whether one of them is not 0."""
        return any(self)

    def long(self) -> list[int]:
        """As they are."""
        return list(self)


class Model:
    """A model that keeps what it is asked with."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward
        self.asked: dict[str, Any] = {}

    def parameters(self) -> Any:
        """One, for its type."""
        return iter([SimpleNamespace(dtype="float32")])

    def __call__(self, **inputs: Any) -> Any:
        """Keep them."""
        self.asked = inputs
        return SimpleNamespace(logits=[SimpleNamespace(float=lambda: "logits")])


def older(input_ids: Any, use_cache: Any) -> None:
    """A forward that knows no kinds of tokens."""


def newer(input_ids: Any, mm_token_type_ids: Any, use_cache: Any) -> None:
    """A forward that wants them."""


@pytest.mark.parametrize(
    ("forward", "image_token", "told"),
    [(newer, 7, [0, 1, 1]), (newer, None, None), (newer, 8, None), (older, 7, None)],
    ids=["image", "text-only model", "prompt without image", "older transformers"],
)
def test_kinds_of_tokens_are_added_where_there_is_an_image_and_the_model_asks(
    forward: Callable[..., Any], image_token: int | None, told: list[int] | None
) -> None:
    bare: Any = Reference.__new__(Reference)
    bare.torch = SimpleNamespace(Tensor=str, inference_mode=contextlib.nullcontext)
    bare.image_token = image_token
    model = Model(forward)
    assert bare.run_inputs(model, {"input_ids": Ids([5, 7, 7])}) == "logits"
    assert model.asked.get(NEWER) == told


def test_packages_with_gpu_kernels_are_hidden_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = ModuleType("fla")
    monkeypatch.setitem(sys.modules, "fla", installed)
    with reference.without(GPU_PACKAGES), pytest.raises(ImportError):
        __import__("fla")
    assert sys.modules["fla"] is installed
    assert "causal_conv1d" not in sys.modules

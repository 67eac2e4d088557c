"""What transformers is asked with: ids alone, and ids with an image that another version's processor prepared."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

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


def bare_reference(configuration: Any, architecture: str = "TinyForCausalLM") -> Reference:
    """A reference of which only the configuration is read."""
    found: Any = Reference.__new__(Reference)
    found.configuration, found.architecture, found.folder = configuration, architecture, "folder"
    auto = SimpleNamespace(modeling_auto=SimpleNamespace(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES={"phimoe": "Phimoe"}))
    names = {"AutoModelForCausalLM": "its own choice", "Phimoe": "the class", "models": SimpleNamespace(auto=auto)}
    found.transformers = SimpleNamespace(__version__="5.17.0", **names)
    return cast("Reference", found)


def test_experts_are_seen_in_the_text_model_of_a_thinker() -> None:
    text = SimpleNamespace(num_experts=8)
    assert bare_reference(SimpleNamespace(text_config=text)).experts
    assert bare_reference(SimpleNamespace(thinker_config=SimpleNamespace(text_config=text))).experts
    assert not bare_reference(SimpleNamespace(thinker_config=SimpleNamespace(num_experts=0))).experts


@pytest.mark.parametrize(
    ("architecture", "kind"), [("PhiMoE", "the class"), ("MyForCausalLM", "its own choice")], ids=["spelled", "unknown"]
)
def test_the_class_is_the_architectures_or_what_transformers_chooses(architecture: str, kind: str) -> None:
    assert bare_reference(SimpleNamespace(model_type="phimoe"), architecture).kind == kind


def test_the_class_is_looked_up_while_gpu_packages_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers 5.17 decides while it imports a model whether to call them."""
    hidden: list[bool] = []

    class Kind:
        @classmethod
        def from_pretrained(cls, *_: Any, **__: Any) -> Any:
            return SimpleNamespace(eval=lambda: "the model")

    def looked_up(_self: Reference) -> type[Kind]:
        hidden.append(sys.modules.get("fla", "visible") is None)
        return Kind

    monkeypatch.setattr(Reference, "kind", property(looked_up))
    assert bare_reference(None).loaded("float32") == "the model"
    assert hidden == [True]


def test_packages_with_gpu_kernels_are_hidden_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = ModuleType("fla")
    monkeypatch.setitem(sys.modules, "fla", installed)
    with reference.without(GPU_PACKAGES), pytest.raises(ImportError):
        __import__("fla")
    assert sys.modules["fla"] is installed
    assert "causal_conv1d" not in sys.modules

"""What stands for what lmdeploy asks outside of its own code."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.emulation.engine import with_image_token
from harness.probes.emulation.stand_ins import harmony
from tests.probes.samples import install

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_the_vocabulary_of_harmony_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    module = install(monkeypatch, "openai_harmony", __spec__=ModuleSpec("openai_harmony", None))
    assert harmony() == ["openai_harmony.load_harmony_encoding"]
    encoding = module.load_harmony_encoding("HarmonyGptOss")
    with pytest.raises(AttributeError, match="a stand-in has no answer to 'encode'"):
        encoding.encode("a text")


def test_without_harmony_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openai_harmony", raising=False)
    assert harmony() == []


SPAN = {"image": [SimpleNamespace(start=1, end=3)]}


@pytest.mark.parametrize(
    ("ids", "multimodals", "token", "told"),
    [
        ([5, 0, 0, 0], SPAN, 7, [5, 7, 7, 0]),
        ([5, 7, 7, 6], SPAN, 7, [5, 7, 7, 6]),
        ([5, 7, 8, 6], SPAN, 7, [5, 7, 8, 6]),
        ([5, 0, 0, 6], None, 7, [5, 0, 0, 6]),
        ([5, 0, 0, 6], SPAN, None, [5, 0, 0, 6]),
        ([5, 0, 0, 6], {"mm_data": [SimpleNamespace()]}, 7, [5, 0, 0, 6]),
    ],
    ids=["padding", "its own token", "separators", "no image", "a model that sees nothing", "another form"],
)
def test_places_of_an_image_are_told_to_transformers_with_its_token(
    ids: list[int], multimodals: Mapping[str, Any] | None, token: int | None, told: list[int]
) -> None:
    before = list(ids)
    assert with_image_token(ids, multimodals, token) == told
    assert ids == before

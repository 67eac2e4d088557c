"""Configurations, made by the engines' own code."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from harness.probes.engines import configure, turbomind
from harness.probes.running.events import Failed
from tests.probes.samples import Session, install, request_for, results, written

if TYPE_CHECKING:
    from pathlib import Path

    from harness.probes.running.events import Events


def supporting(monkeypatch: pytest.MonkeyPatch, python: list[str], compiled: list[str], *, says: bool) -> None:
    install(monkeypatch, "lmdeploy.pytorch.models.module_map", MODULE_MAP=dict.fromkeys(python, ""))
    lists = {"SUPPORTED_ARCHS": dict.fromkeys(compiled, ""), "is_supported": lambda _folder: says}
    install(monkeypatch, "lmdeploy.turbomind.supported_models", **lists)
    monkeypatch.setattr(turbomind, "prepare", lambda _events, _seconds: False)


@pytest.mark.parametrize(
    ("python", "compiled", "says", "expected", "predicted"),
    [
        (["Arch"], ["Arch"], True, ("configure", "pass", None), "turbomind"),
        (["Arch"], [], False, ("configure", "fail", "backend-substituted"), "pytorch"),
        (["Arch"], ["Arch"], False, ("configure", "fail", "backend-substituted"), "pytorch"),
        ([], [], False, ("configure", "fail", "architecture-unsupported"), "pytorch"),
    ],
)
def test_a_substitution_is_foretold(  # noqa: PLR0913, PLR0917 - two lists, what is said, and what follows
    events: Events,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    python: list[str],
    compiled: list[str],
    expected: tuple[str, str, str | None],
    predicted: str,
    *,
    says: bool,
) -> None:
    supporting(monkeypatch, python, compiled, says=says)
    configure.backend_support(request_for(tmp_path, "turbomind"), events)
    assert results(events) == [expected]
    facts = {event["name"]: event["value"] for event in written(events) if event["event"] == "fact"}
    assert facts["backend_support"]["predicted"] == predicted


@pytest.mark.parametrize("backend", ["pytorch", "turbomind"])
def test_a_quantisation_that_lmdeploy_does_not_name_cannot_be_tried(
    events: Events, tmp_path: Path, backend: str
) -> None:
    request = request_for(tmp_path, backend)
    configure.backend_support(replace(request, model=replace(request.model, quantisation="other")), events)
    assert results(events) == [("configure", "blocked", "quantisation-unsupported")]


def test_a_configuration_is_shown_in_simple_values() -> None:
    @dataclass
    class Config:
        layers: int = 3
        dtype: object = "float16"
        hf_config: object = None

    assert configure.shown(Config(hf_config=threading.Lock())) == {
        "not_copied": "TypeError: cannot pickle '_thread.lock' object",
        "layers": 3,
        "dtype": "float16",
    }


LISTS = {"lmdeploy/pytorch/models/module_map.py": "MODULE_MAP = {'Arch': ''}\nREMOVED_MODEL_MAP = {'Old': 'Qwen'}"}


@pytest.mark.parametrize(
    ("architecture", "outcome", "words"),
    [
        ("Arch", "pass", ""),
        ("Old", "fail", "support for Qwen (Old) was removed"),
        ("New", "fail", "New is not among the pytorch engine's architectures"),
    ],
)
def test_support_is_read_from_the_versions_own_lists(
    session: Session, architecture: str, outcome: str, words: str
) -> None:
    session.install(LISTS)
    model = {"architecture": architecture, "config_folder": str(session.folder)}
    told = session.ask("backend-support", model=model)
    assert (told.result["outcome"], told.result["message"]) == (outcome, words)
    assert told.result["reason"] == (None if outcome == "pass" else "architecture-unsupported")
    assert told.facts["backend_support"]["pytorch_architectures"] == ["Arch"]


@pytest.mark.parametrize(
    ("told", "cards", "refused"),
    [
        ({"num_attention_heads": 4, "num_key_value_heads": 2}, 2, None),
        ({"num_attention_heads": 8, "num_key_value_heads": 2}, 4, None),
        ({"num_attention_heads": 4, "num_key_value_heads": 2}, 3, "tp=3 does not divide the model's 4 attention heads"),
        ({"text_config": {"num_attention_heads": 12, "num_key_value_heads": 3}}, 2, "3 key-value heads"),
        ({"architectures": ["Mamba"]}, 2, None),
    ],
)
def test_heads_that_the_cards_do_not_divide_are_refused(
    tmp_path: Path, told: dict[str, object], cards: int, refused: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(told))
    if refused is None:
        configure.require_whole_heads(str(tmp_path), cards)
    else:
        with pytest.raises(Failed, match=refused):
            configure.require_whole_heads(str(tmp_path), cards)

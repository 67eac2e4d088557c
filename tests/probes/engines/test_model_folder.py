"""A checkpoint's folder, under a name that a chat template is found by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from harness.probes.engines import model_folder
from tests.probes.samples import install, request_for, written

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from harness.probes.running.events import Events


def named_like(known: str) -> Callable[[str], str]:
    return lambda folder: "qwen2-vl" if known in Path(folder).name.lower() else "base"


def test_a_folder_whose_name_finds_no_template_is_linked_under_one_that_does(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "lmdeploy.model", best_match_model=named_like("qwen2-vl"))
    (tmp_path / "canary").mkdir()
    request = request_for(tmp_path, folder=str(tmp_path / "canary"), model_type="qwen2_vl")
    folder = Path(model_folder.named_folder(request, events))
    assert folder.name == "Qwen2-VL-2B-Instruct"
    assert folder.resolve() == (tmp_path / "canary").resolve()
    facts = {event["name"]: event["value"] for event in written(events)}
    assert facts["folder_link"]["name"] == "Qwen2-VL-2B-Instruct"
    assert facts["chat_template"] == "qwen2-vl"


def test_a_folder_whose_template_is_found_is_left_alone(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = SimpleNamespace(match=lambda _folder: True)
    install(monkeypatch, "lmdeploy.model", MODELS=SimpleNamespace(module_dict={"hf": template}))
    request = request_for(tmp_path, model_type="qwen2_vl")
    assert model_folder.named_folder(request, events) == str(tmp_path)
    assert [event["name"] for event in written(events)] == ["chat_template"]

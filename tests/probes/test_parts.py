"""Parts of the probes, in this process: events, prompts, and the stand-ins for what needs a GPU."""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.probes.engines import (
    configure,
    gpu_stand_ins,
    imports,
    model_folder,
    model_graph,
    native,
    preprocess,
)
from harness.probes.running import driver, exceptions
from harness.probes.running.events import Blocked, Events, Failed, jsonable
from harness.probes.smoke.question import Question, smoke_image
from tests.probes.probing import SMOKE, install, request_for, results, written

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(str(tmp_path / "events.jsonl"))


# --- events ----------------------------------------------------------------------------------------------------------


def test_facts_are_strict_json() -> None:
    value = {"nan": float("nan"), "set": {"b", "a"}, "text": "\udcff", 1: (2.5, None, True), "path": Path("x")}
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == {
        "nan": "nan",
        "set": ["a", "b"],
        "text": "\\udcff",
        "1": [2.5, None, True],
        "path": "x",
    }


def test_the_first_answer_of_a_stage_is_the_one(events: Events) -> None:
    with events.answering("import"):
        raise ValueError("the cause")
    events.result("import", "pass")
    assert results(events) == [("import", "fail", None)]


def test_a_check_that_knows_its_reason_says_so(events: Events) -> None:
    with events.answering("configure"):
        raise Failed("as told", "backend-substituted") from KeyError("why")
    (result,) = written(events)
    assert (result["message"], result["reason"], result["exception"]["type"]) == (
        "as told",
        "backend-substituted",
        "KeyError",
    )


@pytest.mark.parametrize(("present", "outcome"), [(False, "blocked"), (True, "fail")])
def test_a_missing_driver_blocks_only_where_there_is_none(
    events: Events, monkeypatch: pytest.MonkeyPatch, *, present: bool, outcome: str
) -> None:
    monkeypatch.setattr(driver, "driver_present", lambda: present)
    with events.answering("boot"):
        raise SystemExit(1) from RuntimeError("Found no NVIDIA driver on your system.")
    reason = "driver-or-gpu-unavailable" if outcome == "blocked" else None
    assert results(events) == [("boot", outcome, reason)]


def test_a_cyclic_chain_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    told = exceptions.record(first)
    assert (told["message"], told["cause"]["message"], told["cause"]["cause"]) == ("first", "second", None)


# --- folders, prompts and messages -----------------------------------------------------------------------------------


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


def test_the_image_comes_before_the_text_and_text_alone_is_a_string() -> None:
    from PIL import Image  # noqa: PLC0415 - only this test needs it

    image = smoke_image(SMOKE["image"])
    (message,) = preprocess.messages(Question("What?", 8, image))
    first, second = message["content"]
    assert (first["type"], second) == ("image_url", {"type": "text", "text": "What?"})
    data = base64.b64decode(first["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(data)).getpixel((3, 0)) == (0, 0, 255)
    assert preprocess.messages(Question("Tell", 8)) == [{"role": "user", "content": "Tell"}]


PIXELS = SimpleNamespace(shape=(64, 1176))


@pytest.mark.parametrize(
    ("ids", "items", "tokens"),
    [
        ([1, 9, 9, 2], [{"pixel_values": PIXELS, "image_tokens": 2}], 2),
        ([1, 0, 0, 2], [{"pixel_values": PIXELS, "image_tokens": 2}], 2),
        ([1, 9, 9, 2], [SimpleNamespace(data=PIXELS)], 2),
        ([1, 2], None, 0),
    ],
    ids=["ids and told", "another id, told", "ids only", "text only"],
)
def test_image_tokens_are_counted_in_every_versions_way(ids: list[int], items: list[Any] | None, tokens: int) -> None:
    told = preprocess.described({"prompt": "p", "input_ids": ids, "multimodal": items}, 9)
    assert (told["image_tokens"], told["ids_count"]) == (tokens, len(ids))
    assert told["pixel_shape"] == ([[64, 1176]] if items else [])


def prepared(tokens: int = 16, prompt: str | None = "p") -> dict[str, Any]:
    return {"prompt": prompt, "ids_count": 59, "image_tokens": tokens, "pixel_shape": [[64, 1176]] if tokens else []}


@pytest.mark.parametrize(
    ("seen", "told", "theirs", "words"),
    [
        (prepared(), prepared(0), 16, ""),
        (prepared(), prepared(0), None, ""),
        (prepared(), prepared(0), 4, "16 image tokens where transformers makes 4"),
        (prepared(0), prepared(0), 16, "the image left no tokens or no pixels"),
        (prepared(), prepared(0, None), 16, "the text-only message gave no prompt"),
    ],
)
def test_only_what_cannot_be_answered_fails(
    seen: dict[str, Any], told: dict[str, Any], theirs: int | None, words: str
) -> None:
    compared = {"image_prompt": {"image_tokens": theirs}}
    both = {"image_prompt": seen, "text_prompt": told}
    if not words:
        preprocess.judge(both, compared)
        return
    with pytest.raises(Failed, match=words) as caught:
        preprocess.judge(both, compared)
    assert caught.value.reason == "tokenizer-processor-drift"


def test_a_model_of_text_alone_needs_no_image() -> None:
    preprocess.judge({"text_prompt": prepared(0)}, {})
    with pytest.raises(Failed, match="the text-only message gave no prompt"):
        preprocess.judge({"text_prompt": prepared(0, None)}, {})


def test_other_ids_than_transformers_are_a_warning() -> None:
    same, other = {"same_ids": True}, {"same_ids": False}
    assert preprocess.warning({"image_prompt": same, "text_prompt": same}) == ""
    assert "in text_prompt" in preprocess.warning({"image_prompt": same, "text_prompt": other})
    assert "not compared" in preprocess.warning({"not_compared": "OSError: no processor"})


# --- stand-ins and support -------------------------------------------------------------------------------------------


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


def supporting(monkeypatch: pytest.MonkeyPatch, pytorch: list[str], turbomind: list[str], *, says: bool) -> None:
    install(monkeypatch, "lmdeploy.pytorch.models.module_map", MODULE_MAP=dict.fromkeys(pytorch, ""))
    lists = {"SUPPORTED_ARCHS": dict.fromkeys(turbomind, ""), "is_supported": lambda _folder: says}
    install(monkeypatch, "lmdeploy.turbomind.supported_models", **lists)
    monkeypatch.setattr(configure, "prepare_turbomind", lambda _events: False)


@pytest.mark.parametrize(
    ("pytorch", "turbomind", "says", "expected", "predicted"),
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
    pytorch: list[str],
    turbomind: list[str],
    expected: tuple[str, str, str | None],
    predicted: str,
    *,
    says: bool,
) -> None:
    supporting(monkeypatch, pytorch, turbomind, says=says)
    configure.backend_support(request_for(tmp_path, "turbomind"), events)
    assert results(events) == [expected]
    facts = {event["name"]: event["value"] for event in written(events) if event["event"] == "fact"}
    assert facts["backend_support"]["predicted"] == predicted


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


def test_the_builder_gets_what_its_version_takes() -> None:
    configuration = SimpleNamespace(quant_config="q", tie_word_embeddings=True)

    @dataclass
    class Context:
        quant_config: str
        fp32_lm_head: bool = False

    with_context = SimpleNamespace(BuildModelContext=Context, build_patched_model=lambda config, build_model_ctx: None)  # noqa: ARG005
    without = SimpleNamespace(build_patched_model=lambda config: None)  # noqa: ARG005 - only its parameters are read
    assert model_graph.build_keywords(with_context, configuration) == {"build_model_ctx": Context("q")}
    assert model_graph.build_keywords(without, configuration) == {}


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


def test_existence_is_looked_up_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up_package"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "sub" / "__init__.py").touch()
    (package / "module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = {name: imports.exists(f"made_up_package{name}") for name in ("", ".module", ".sub", ".gone", ".sub.gone")}
    assert found == {"": True, ".module": True, ".sub": True, ".gone": False, ".sub.gone": False}
    assert imports.exists("no_such_package.module") is False


def test_a_missing_tokenizer_blocks_only_versions_that_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Counting:
        tokenizer_size: int = 0

    install(monkeypatch, "lmdeploy.turbomind.deploy.config", ModelConfig=Counting)
    with pytest.raises(Blocked, match="tokenizer"):
        configure.require_tokenizer_where_counted(str(tmp_path))
    (tmp_path / "tokenizer.json").touch()
    configure.require_tokenizer_where_counted(str(tmp_path))

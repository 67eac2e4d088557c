"""The right cause wins: over its fallout, over noise, over look-alikes from elsewhere."""

from __future__ import annotations

import pytest

from harness.core.records import ExceptionRecord, FrameRecord
from harness.core.verdict import Reason, Stage
from harness.diagnose import Evidence, classify
from harness.diagnose.cluster import cluster, propose


def frames(*files: str) -> list[FrameRecord]:
    return [FrameRecord(file=file, line=1, function="f") for file in files]


def raised(kind: str, message: str, *files: str, cause: ExceptionRecord | None = None) -> Evidence:
    exception = ExceptionRecord(type=kind, message=message, frames=frames(*files), cause=cause)
    return Evidence.from_exception(
        exception, stage=Stage.IMPORT, stack={"lmdeploy": "0.11.1", "transformers": "4.38.2"}
    )


@pytest.mark.parametrize(
    ("kind", "message", "file", "signature", "detail"),
    [
        ("ModuleNotFoundError", "No module named 'lmdeploy.serve.api_server'", "", "lmdeploy-api-server-module",
         "lmdeploy.serve.api_server"),
        ("AttributeError", "'NoneType' object has no attribute 'device_type'", "lmdeploy/serve/core/vl_async_engine.py",
         "lmdeploy-backend-config-none", "backend-config-none"),
        ("RuntimeError", "Unsupported quant method: gptq", "lmdeploy/pytorch/nn/linear/__init__.py",
         "lmdeploy-pytorch-quant-method", "gptq"),
        ("TypeError", "Unsupported quant method: gptq", "lmdeploy/pytorch/config.py",
         "lmdeploy-pytorch-quant-method", "gptq"),
        ("ImportError", "cannot import name 'BeamSearchScorer' from 'transformers' (/x/y.py)",
         "transformers_stream_generator/main.py", "transformers-beam-search-scorer", "transformers.BeamSearchScorer"),
        ("ImportError", "cannot import name 'DisjunctiveConstraint' from 'transformers' (/x/y.py)",
         "transformers_stream_generator/main.py", "transformers-beam-search-scorer",
         "transformers.DisjunctiveConstraint"),
        ("ImportError", "cannot import name 'ImagesKwargs' from 'transformers.processing_utils' (/x/y.py)",
         "lmdeploy/vl/model/gemma3_vl.py", "transformers-processing-kwargs",
         "transformers.processing_utils.ImagesKwargs"),
        ("ImportError", "cannot import name 'is_safetensors_available' from 'transformers.utils' (/x/y.py)",
         "lmdeploy/vl/model/utils.py", "transformers-is-safetensors-available",
         "transformers.utils.is_safetensors_available"),
        ("ImportError", "libcuda.so.1: cannot open shared object file: No such file or directory",
         "lmdeploy/turbomind/turbomind.py", "libcuda-missing", "libcuda.so.1"),
        ("ValueError", "trying to load has model type `qwen2_vl` but Transformers does not recognize this architecture",
         "transformers/models/auto/configuration_auto.py",
         "transformers-model-type-unknown", "qwen2_vl"),
        ("AttributeError", "'Qwen2VLConfig' object has no attribute 'hidden_size'", "lmdeploy/pytorch/config.py",
         "qwen-vl-flat-config", "Qwen2VLConfig.hidden_size"),
        ("AttributeError", "'Qwen2VLProcessor' object has no attribute 'image_token'", "lmdeploy/vl/model/qwen2.py",
         "qwen2vl-processor-image-token", "Qwen2VLProcessor.image_token"),
        ("ImportError", "please install qwen_vl_utils by `pip install qwen_vl_utils`", "lmdeploy/vl/model/qwen2.py",
         "qwen-vl-utils-missing", "qwen_vl_utils"),
        ("RuntimeError", "0 active drivers ([]). There should only be one.", "triton/runtime/driver.py",
         "triton-no-active-driver", "no-nvidia-driver"),
        ("RuntimeError", "Found no NVIDIA driver on your system. Please check that", "torch/cuda/__init__.py",
         "no-nvidia-driver", "no-nvidia-driver"),
        ("ImportError", "cannot import name 'Qwen2VLForConditionalGeneration' from 'transformers' (/x/y.py)", "",
         "transformers-model-class-too-new", "transformers.Qwen2VLForConditionalGeneration"),
    ],
)  # fmt: skip
def test_what_really_happens_is_recognised(kind: str, message: str, file: str, signature: str, detail: str) -> None:
    diagnosis = classify(raised(kind, message, *([file] if file else [])))
    assert (diagnosis.signature, diagnosis.detail) == (signature, detail)
    assert diagnosis.record().family is diagnosis.family


@pytest.mark.parametrize("package", ["mlc_llm/support/auto_device.py", "tvm/runtime/device.py", "other/engine.py"])
def test_the_same_last_line_from_another_project_has_another_cause(package: str) -> None:
    evidence = raised("AttributeError", "'NoneType' object has no attribute 'device_type'", package)
    diagnosis = classify(evidence)
    assert diagnosis.signature != "lmdeploy-backend-config-none"
    assert "PytorchEngineConfig" not in diagnosis.remedy


def test_the_cause_of_a_masked_import_is_reported() -> None:
    cause = ExceptionRecord(type="RuntimeError", message="operator torchvision::nms does not exist")
    masked = "Could not import module 'AutoProcessor'. Are this object's requirements defined correctly?"
    assert classify(raised("ModuleNotFoundError", masked, cause=cause)).signature == "torchvision-operator-missing"
    assert classify(raised("ModuleNotFoundError", masked)).signature == "transformers-masked-import"


def test_a_printed_chain_is_followed_to_its_root() -> None:
    log = """Traceback (most recent call last):
  File "/v/site-packages/torch/library.py", line 1, in f
    raise
RuntimeError: operator torchvision::nms does not exist

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/v/site-packages/transformers/utils/import_utils.py", line 2320, in __getattr__
    raise ModuleNotFoundError(
ModuleNotFoundError: Could not import module 'AutoProcessor'. Are this object's requirements defined correctly?
"""
    evidence = Evidence.from_log(log)
    assert [(s.group, s.depth) for s in evidence.statements] == [(0, 0), (0, 1)]
    assert classify(evidence).signature == "torchvision-operator-missing"


def test_the_more_telling_exception_of_a_chain_wins() -> None:
    log = """KeyError: 'qwen9_vl'

During handling of the above exception, another exception occurred:

ValueError: The checkpoint you are trying to load has model type `qwen9_vl` but Transformers does not recognize it
"""
    assert classify(Evidence.from_log(log)).signature == "transformers-model-type-unknown"


@pytest.mark.parametrize(
    "fallout",
    [
        "concurrent.futures.process.BrokenProcessPool: A process in the process pool was terminated abruptly",
        "RuntimeError: Engine core initialization failed. See root cause above.",
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "[rank1]: DistNetworkError: Connection reset by peer",
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_fallout_never_wins_over_its_cause(fallout: str, order: int) -> None:
    log = "\n\n".join(["RuntimeError: Unsupported quant method: gptq", fallout][::order])
    assert classify(Evidence.from_log(log)).signature == "lmdeploy-pytorch-quant-method"


def test_a_missing_driver_does_not_hide_a_broken_import() -> None:
    log = (
        "ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils' (/x)\n\n"
        "RuntimeError: Found no NVIDIA driver on your system.\n"
    )
    assert classify(Evidence.from_log(log)).signature == "transformers-processing-kwargs"


def test_a_warning_decides_only_when_nothing_louder_was_said() -> None:
    warning = "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 12040).\n"
    alone = classify(Evidence.from_log(warning))
    assert alone.signature == "nvidia-driver-too-old"
    assert alone.confidence < classify(Evidence.from_log(warning.replace("UserWarning", "RuntimeError"))).confidence
    assert (
        classify(Evidence.from_log(warning + "ModuleNotFoundError: No module named 'timm'\n")).signature
        == "module-missing"
    )


def test_noise_is_no_failure() -> None:
    diagnosis = classify(
        Evidence.from_log("WARNING 01-04 10:59:09 [u.py:1] Using 'pin_memory=False' as WSL is detected.\n")
    )
    assert not diagnosis.failure
    assert diagnosis.benign == ("wsl-pin-memory-warning",)
    assert diagnosis.record().family is Reason.UNKNOWN


def test_debug_lines_never_decide() -> None:
    log = "DEBUG 09-23 06:36:34 [platforms/__init__.py:56] TPU is not available because: No module named 'libtpu'\n"
    assert not classify(Evidence.from_log(log)).failure


def test_a_healthy_log_is_no_failure() -> None:
    log = 'INFO:     Application startup complete.\nINFO:     127.0.0.1:5 - "POST /v1/models HTTP/1.1" 200 OK\n'
    assert classify(Evidence.from_log(log)).failure is False


def test_an_unknown_failure_in_a_stage_is_not_guessed_at() -> None:
    evidence = raised("ValueError", "the rope is too short", "transformers/configuration_utils.py")
    assert classify(evidence).family is Reason.UNKNOWN
    assert classify(evidence).detail == "ValueError"
    guessed = classify(evidence, guess=True)
    assert guessed.guessed
    assert guessed.family is Reason.CONFIG_DRIFT


def test_the_remedy_names_versions_from_the_table() -> None:
    diagnosis = classify(
        raised("ImportError", "cannot import name 'ImagesKwargs' from 'transformers.processing_utils' (/x)")
    )
    assert "transformers>=4.42.0" in diagnosis.remedy


def test_versions_that_rule_a_signature_out() -> None:
    message = "'NoneType' object has no attribute 'device_type'"
    log = Evidence.from_log(f"AttributeError: {message}\n", {"lmdeploy": "0.11.1"})
    assert classify(log).signature == "lmdeploy-backend-config-none"
    assert classify(Evidence.from_log(f"AttributeError: {message}\n")).signature == "device-detection-none"


def test_the_log_of_a_child_that_raised_nothing_is_read() -> None:
    evidence = Evidence.from_exception(None, "Killed\n", stage="boot", check="two-pass", backend="pytorch")
    assert classify(evidence).family is Reason.OUT_OF_MEMORY


def test_turbomind_that_was_asked_for_and_replaced_is_a_failure() -> None:
    log = "lmdeploy - WARNING - archs.py:51 - Fallback to pytorch engine because `/m` not supported by turbomind.\n"
    asked = Evidence.from_exception(None, log, stage="boot", backend="turbomind")
    assert classify(asked).family is Reason.BACKEND_SUBSTITUTED
    assert not classify(Evidence.from_exception(None, log, stage="boot", backend="pytorch")).failure


def test_details_hold_no_paths() -> None:
    evidence = raised("OSError", "/opt/secret/place/libfoo.so.3: undefined symbol: bar", "x/y.py")
    assert classify(evidence).detail == "libfoo.so.3"


def test_unknown_failures_that_differ_only_in_numbers_and_paths_are_one_cluster() -> None:
    def evidence(number: int) -> Evidence:
        return raised("ValueError", f"frobnication {number} of '/tmp/run-{number}/x.bin' failed", "pkg/frob.py")

    other = raised("ValueError", "something else entirely", "pkg/frob.py")
    clusters = cluster([("a", evidence(1)), ("b", evidence(22)), ("c", other)])
    assert [c.members for c in clusters] == [("a", "b"), ("c",)]
    assert clusters[0].key == cluster([("z", evidence(333))])[0].key
    assert "frobnication .{1,80} of" in clusters[0].proposal.signature


def test_a_proposal_recognises_what_it_was_made_from() -> None:
    from ruamel.yaml import YAML  # noqa: PLC0415 - only here

    from harness.diagnose.catalogue import Catalogue, Signature  # noqa: PLC0415 - only here

    evidence = raised("ValueError", "frobnication 7 (of 9) failed at 0xdeadbeef", "pkg/frob.py")
    proposal = propose(evidence)
    assert proposal is not None
    (entry,) = YAML(typ="safe").load(proposal.signature)
    catalogue = Catalogue([Signature.model_validate(entry)])
    assert classify(evidence, catalogue).signature == entry["id"]
    assert "frobnication 7" in proposal.fixture


CONTRADICTIONS = {
    "Because lmdeploy>=0.18.0 depends on one of:\n transformers>=4.56.0,<5.0.dev0\n transformers>=5.10.dev0\n"
    " and you require lmdeploy==0.18.0, we can conclude that you require one of:\n transformers>=4.56.0,<5.0.dev0\n"
    " transformers>=5.10.dev0\n\n And because you require transformers==4.38.2, we can conclude that your "
    "requirements are unsatisfiable.": "lmdeploy>=0.18.0 needs transformers >=4.56.0,<5.0.dev0 or >=5.10.dev0, and none"
    " of these was asked for",
    "Because tilelang==0.1.11 depends on numpy>=1.23.5 and lmdeploy>=0.18.0 depends on tilelang{sys_platform == "
    "'linux'}==0.1.11, we can conclude that lmdeploy>=0.18.0 depends on numpy>=1.23.5.\n And because you require "
    "lmdeploy==0.18.0 and numpy<1.20, we can conclude that your requirements are unsatisfiable.": (
        "lmdeploy>=0.18.0 needs numpy >=1.23.5, and none of these was asked for"
    ),
    "Because torch==2.4.0 depends on triton{sys_platform == 'linux'}==3.0.0 and lmdeploy>=0.18.0 depends on "
    "triton{'arm' not in platform_machine}>=3.4.0,<=3.7.1, we can conclude that lmdeploy>=0.18.0 and torch==2.4.0 are "
    "incompatible.": "torch==2.4.0 needs triton ==3.0.0, lmdeploy>=0.18.0 needs triton >=3.4.0,<=3.7.1",
}


@pytest.mark.parametrize(("said", "title"), CONTRADICTIONS.items())
def test_a_resolvers_contradiction_names_both_sides_and_what_would_do(said: str, title: str) -> None:
    log = f"error: No solution found when resolving dependencies\n  cause: {said}\n"
    found = classify(Evidence.from_exception(None, log, stage=Stage.RESOLVE))
    assert (found.family, found.title) == (Reason.RESOLVER_CONFLICT, title)

"""Models that a release is older than."""

from __future__ import annotations

import pytest
from packaging.version import Version

from harness.core.presence import Presence
from harness.diagnose import Evidence, classify
from harness.diagnose.boundaries import Boundaries
from harness.diagnose.commands import commands_of
from harness.diagnose.models import model_from

VERSIONS = tuple(map(Version, ("4.40.0", "4.49.0", "5.0.0")))
LISTED = "lmdeploy.pytorch.models.module_map.MODULE_MAP[FrobForCausalLM]"
TURBOMIND = "lmdeploy.turbomind.supported_models.SUPPORTED_ARCHS[FrobForCausalLM]"
VLLM = "vllm.model_executor.models.registry.*"
TABLE = Boundaries(
    "2026-01-01",
    {
        "transformers.models.frob2_5_vl": Presence("transformers", VERSIONS, ((VERSIONS[1], VERSIONS[2]),)),
        LISTED: Presence("lmdeploy", VERSIONS, ()),
    },
)


@pytest.mark.parametrize(
    ("text", "captures", "files", "name"),
    [
        ("", {"model_type": "frob-vl"}, [], "transformers.models.frob_vl."),
        ("", {"checkpoint": "Frob2.5-VL-3B-Instruct"}, [], "transformers.models.frob2_5_vl."),
        ("", {"checkpoint": "frobs"}, [], ""),
        ("", {"class": "FrobTokenizerFast"}, [], "transformers.FrobTokenizerFast"),
        ("", {"architecture": "FrobForCausalLM"}, ["lmdeploy/pytorch/x.py"], LISTED),
        ("", {"architecture": "FrobForCausalLM"}, ["numpy/x.py", "vllm/x.py"], f"{VLLM}[FrobForCausalLM]"),
        ("", {"architecture": "FrobForCausalLM"}, [], "transformers.FrobForCausalLM"),
        ("", {"architecture": "FrobForCausalLM"}, ["lmdeploy/vl/x.py"], ""),
        ("", {"architecture": "FrobForCausalLM"}, ["/src/lmdeploy/lmdeploy/turbomind/x.py"], TURBOMIND),
        ("turbomind does not support it", {"model": "FrobForCausalLM"}, [], TURBOMIND),
        ("", {"architecture": "frob"}, ["vllm/x.py"], ""),
        ("", {"class": "FrobTokenizer", "attribute": "scale"}, [], ""),
    ],
)  # fmt: skip
def test_what_knows_a_model(text: str, captures: dict[str, str], files: list[str], name: str) -> None:
    assert model_from(text, captures, files) == name


def test_a_model_type_comes_with_the_versions_that_know_it() -> None:
    text = "The checkpoint you are trying to load has model type `frob2_5_vl` but Transformers does not recognize this"
    evidence = Evidence.from_log(f"ValueError: {text} architecture.\n")
    found = classify(evidence, lookup=TABLE)
    assert [command.line for command in commands_of(found, {})] == ['uv pip install "transformers>=4.49.0"']


def test_a_type_that_no_release_knows_may_be_a_fork_and_says_nothing() -> None:
    found = classify(Evidence.from_log("TypeError: Unknown image model type: mine_vl\n"), lookup=TABLE)
    assert found.presence is None


def test_an_architecture_that_no_release_lists_is_said_to_be_none() -> None:
    log = "RuntimeError: Can not found rewrite for architectures: ['FrobForCausalLM']\n"
    assert classify(Evidence.from_log(log), lookup=TABLE).remedy.startswith("No release of lmdeploy up to 5.0.0 lists")

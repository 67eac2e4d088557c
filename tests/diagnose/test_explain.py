"""What a person is told: the root before its fallout, all failures of a text, what to do about an unknown one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.diagnose import Evidence, classify
from harness.diagnose.explain import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOTS = {
    "[TM][FATAL] kernels/x.cu(3): Check failed: m == n\nAborted (core dumped)\n": "turbomind-check-failed",
    "[TM][ERROR] fmha not support int8\nterminate called after throwing an instance of 'std::runtime_error'\n"
    "  what():  [TM][ERROR] CUDA runtime error: an illegal memory access\nAborted\n": "quant-method-unknown",
    "/usr/bin/ld: cannot find -lcuda\ncollect2: error: ld returned 1 exit status\n": "linker-without-libcuda",
    "The conflict is caused by:\n    a 1.0 depends on torch==2.9.0\n    b 2.0 depends on torch==2.8.0\n\n"
    "ERROR: ResolutionImpossible: for help visit https://x\n": "conflict-explained",
}


@pytest.mark.parametrize(("log", "signature"), ROOTS.items(), ids=list(ROOTS.values()))
def test_what_stopped_compiled_code_or_an_installer_comes_before_its_fallout(log: str, signature: str) -> None:
    assert classify(Evidence.from_log(log)).signature == signature


def test_an_exception_that_no_signature_knows_outranks_words_and_fallout() -> None:
    log = (
        "We run it on a V100 with --chat-template x, error below\n"
        "FrobError: the frobnicator is loose\nAborted (core dumped)\n"
    )
    found = classify(Evidence.from_log(log), guess=True)
    assert (found.signature, found.line) == (None, "FrobError: the frobnicator is loose")


def test_prose_before_an_exception_does_not_decide() -> None:
    error = "AttributeError: 'Qwen2VLProcessor' object has no attribute 'image_token'"
    log = f"Linux 5.15-microsoft-standard-WSL2 fails: {error}\n"
    assert classify(Evidence.from_log(log)).signature == "qwen2vl-processor-image-token"


def test_a_traceback_that_was_printed_newest_first_is_one_failure() -> None:
    log = (
        "AttributeError: Qwen2TokenizerFast has no attribute tokenizer\n"
        '    raise AttributeError(f"{self.__class__.__name__} has no attribute {key}")\n'
        '  File "/v/site-packages/transformers/tokenization_utils_base.py", line 1100, in __getattr__\n'
        "    self._tokenizer = self._processor.tokenizer\n"
        '  File "/v/site-packages/swift/template.py", line 7, in encode\n'
    )
    (statement,) = [each for each in Evidence.from_log(log).statements if each.type]
    assert [frame.file.split("/")[0] for frame in statement.frames] == ["swift", "transformers"]
    assert classify(Evidence.from_log(log)).signature == "tokenizer-attribute-missing"


def test_what_several_processes_wrote_into_each_other_is_read_once() -> None:
    log = "AttributeErrorAttributeError: : 'X' object has no attribute 'y''X' object has no attribute 'y'\n"
    assert Evidence.from_log(log).statements[0].text == "AttributeError: 'X' object has no attribute 'y'"


def test_a_message_that_was_cut_at_a_width_is_put_together() -> None:
    log = (
        "(Core pid=5) ERROR 08-12 03:12:29 [core.py:12] RuntimeError: The NVIDIA driver on your system is too o\n"
        "ld (found version 12080).\n"
    )
    found = classify(Evidence.from_log(log))
    assert (found.signature, found.captures) == ("nvidia-driver-too-old", {"found": "12080"})


def test_a_notice_is_the_cause_only_of_a_failure_that_follows() -> None:
    notice = "lmdeploy - WARNING - Fallback to pytorch engine because turbomind engine is not installed correctly.\n"
    assert not classify(Evidence.from_log(notice)).failure
    assert classify(Evidence.from_log(notice + "FrobError: loose\n")).signature == "turbomind-not-installed"


def test_noise_that_raised_something_else_is_none() -> None:
    log = (
        "AttributeError: Qwen2TokenizerFast has no attribute video_token\n\n"
        "The above exception was the direct cause of the following exception:\n\nOSError: Failed to load processor.\n"
    )
    assert not classify(Evidence.from_log(log.splitlines()[0])).failure
    assert classify(Evidence.from_log(log)).signature == "tokenizer-attribute-missing"


def test_all_parties_of_a_conflict_are_named() -> None:
    text = explain(
        "a 1.0 requires torch==2.9.0, but you have torch 2.8.0 which is incompatible.\n"
        "b 2.0 requires numpy<2, but you have numpy 2.1.0 which is incompatible.\n"
    )
    assert "a 1.0 needs torch==2.9.0, and torch 2.8.0 is installed" in text
    assert "b 2.0 needs numpy<2, and numpy 2.1.0 is installed" in text
    assert 'uv pip install "torch==2.9.0"' in text


def test_blame_goes_by_the_frames_and_not_by_words() -> None:
    frame = '  File "/v/site-packages/{}/x.py", line 6, in f\n    y = ARCHS[z]\n'
    log = f"lmdeploy 0.11.1\n{frame}KeyError: 'Qwen2ForCausalLM'\n"
    assert classify(Evidence.from_log(log.format("swift"))).title == "swift does not know Qwen2ForCausalLM"
    assert classify(Evidence.from_log(log.format("transformers"))).signature == "transformers-model-type-unknown"


def test_an_unknown_failure_says_what_to_collect_and_where_to_report() -> None:
    frame = '  File "/v/site-packages/peft/x.py", line 6, in f\n    y()\n'
    log = f"Traceback (most recent call last):\n{frame}FrobError: loose\n"
    text = explain(log)
    assert "FrobError: loose" in text
    assert "https://github.com/huggingface/peft/issues" in text
    assert "signatures.yaml" not in text
    assert "signatures.yaml" in explain(log, propose=True)


@pytest.mark.parametrize(
    "log",
    [
        "",
        'Traceback (most recent call last):\n  File "x.py", line 3, in <module>\nKeyboardInterrupt\n',
        (
            'INFO:     1.2.3.4:5 - "GET /v1/models HTTP/1.1" 200 OK\n'
            'INFO:     1.2.3.4:5 - "GET /favicon.ico HTTP/1.1" 404 Not Found\n'
        ),
    ],
    ids=["empty", "stopped by hand", "pages that are not there"],
)
def test_what_is_no_failure_is_called_none(log: str) -> None:
    assert json.loads(explain(log, form="json"))["failure"] is False


def test_no_answer_shows_an_empty_capture() -> None:
    assert "  " not in classify(Evidence.from_log("ERROR: ResolutionImpossible: for help visit https://x\n")).cause


def test_commands_say_on_what_they_rest() -> None:
    text = "ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (/v/transformers/__init__.py)"
    asked: list[tuple[list[str], dict[str, str]]] = []

    def resolve(requirements: Sequence[str], installed: Mapping[str, str]) -> str:
        asked.append((list(requirements), dict(installed)))
        return "resolved by uv: transformers 4.56.2"

    said = explain(text, {"lmdeploy": "0.11.1"}, resolve=resolve)
    assert asked == [(["transformers<=4.56.2"], {"lmdeploy": "0.11.1"})]
    assert "# seen in the releases' sources: transformers.BeamSearchScorer" in said
    assert "# resolved by uv: transformers 4.56.2; not run" in said
    assert "# not resolved here; not run" in explain(text)

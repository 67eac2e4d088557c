"""Any log is read: whatever wrapped it, whatever bytes it is made of, whatever its size."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.diagnose import Evidence, classify
from harness.diagnose.explain import explain
from harness.diagnose.stream import ALLOWANCE, REACH, select

MISSING = "ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (/venv/x/transformers/__init__.py)"
TRACEBACK = f"""Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/transformers_stream_generator/main.py", line 1, in <module>
    from transformers import (
{MISSING}
"""
EXPECTED = "transformers-beam-search-scorer"


def signature(log: str | bytes) -> str | None:
    return classify(Evidence.from_log(log)).signature


@pytest.mark.parametrize(
    "prefix",
    [
        "(EngineCore_0 pid=123) ",
        "(VllmWorker rank=1 pid=392252) ERROR 09-01 01:05:41 [multiproc_executor.py:546] ",
        "(APIServer pid=1) ERROR 01-04 10:00:00 [core.py:515] ",
        "[rank0]: ",
        "2026-01-04T10:00:00.123456789Z ",
        "2026-01-04 10:00:00,123 - lmdeploy - ERROR - base.py:53 - ",
        "2026-01-04 10:00:00 | ERROR | stderr | ",
        "[2026-01-04 10:00:00 TP0] ",
        "Jan  4 10:00:00 host lmdeploy[77]: ",
        "vllm-1  | ",
        "[pod/serve-0/engine] ",
        "2026-01-04T10:00:00.4+08:00 stderr F ",
        "E   ",
        "> ",
        "> > ",
        "\x1b[31m",
        "│ ",
        "      ",
        "ERROR:    ",
    ],
)
def test_what_wraps_a_line_is_taken_off(prefix: str) -> None:
    diagnosis = classify(Evidence.from_log("".join(f"{prefix}{line}\n" for line in TRACEBACK.splitlines())))
    assert diagnosis.signature == EXPECTED
    assert diagnosis.captures == {"symbol": "BeamSearchScorer", "provider": "transformers"}


def test_frames_survive_the_wrapping() -> None:
    log = "".join(f"(APIServer pid=1) ERROR 01-04 10:00:00 [core.py:515] {line}\n" for line in TRACEBACK.splitlines())
    (statement,) = [s for s in Evidence.from_log(log).statements if s.type]
    assert [frame.file for frame in statement.frames] == ["transformers_stream_generator/main.py"]
    assert statement.frames[0].text == "from transformers import ("


def test_lines_of_several_processes_printed_in_turns_are_told_apart() -> None:
    other = TRACEBACK.replace("BeamSearchScorer", "ImagesKwargs")
    pairs = zip(TRACEBACK.splitlines(), other.splitlines(), strict=True)
    log = "".join(f"(Worker pid=1) {mine}\n(Worker pid=2) {theirs}\n" for mine, theirs in pairs)
    texts = [statement.text for statement in Evidence.from_log(log).statements if statement.type]
    assert [text.split("'")[1] for text in texts] == ["BeamSearchScorer", "ImagesKwargs"]


@pytest.mark.parametrize(
    "log",
    [
        TRACEBACK.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TRACEBACK.encode(),
        TRACEBACK.encode("utf-16"),
        TRACEBACK.encode("utf-16-le"),
        TRACEBACK.replace("ImportError", "Import\0Error").encode(),
        b"\xff\xfe\xfa broken \x80\n" * 40 + TRACEBACK.encode(),
        b"Loading: 10%|#   |\rLoading: 90%|####|\r" + TRACEBACK.encode(),
        TRACEBACK.replace("ImportError", "\x1b[1;35mImportError\x1b[0m").encode(),
        f"```python\n{TRACEBACK}```\n".encode(),
        f"**{MISSING}**".encode(),
        TRACEBACK.replace("'", "&#39;").replace('"', "&quot;").encode(),
        json.dumps({"log": MISSING + "\n", "stream": "stderr"}).encode(),
        json.dumps({"level": "error", "message": "failed", "exc_info": TRACEBACK}).encode(),
        repr(TRACEBACK).encode(),
        TRACEBACK.encode().rstrip(b"\n"),
    ],
    ids=["crlf", "bom", "utf16", "utf16-bare", "nul", "invalid", "cr", "colour", "fence", "bold", "html", "docker",
         "json", "repr", "unfinished"],
)  # fmt: skip
def test_any_encoding_of_a_log_is_read(log: bytes) -> None:
    assert signature(log) == EXPECTED


def test_lines_that_are_only_a_time_do_not_cut_a_traceback() -> None:
    log = "".join(f"{line}\nAugust 13 12:35:21.116\n" for line in TRACEBACK.splitlines())
    (statement,) = [s for s in Evidence.from_log(log).statements if s.type]
    assert len(statement.frames) == 1


def test_a_message_over_several_lines_is_one_statement() -> None:
    log = (
        "RuntimeError: \n        An attempt has been made to start a new process before the\n"
        "        current process has finished its bootstrapping phase.\n"
    )
    assert signature(log) == "spawn-main-guard"


def test_a_bare_exception_is_judged_by_the_line_that_raised_it() -> None:
    log = (
        'Traceback (most recent call last):\n  File "/v/site-packages/vllm/config.py", line 9, in f\n'
        '    assert "factor" in rope_scaling\nAssertionError\n'
    )
    assert signature(log) == "rope-scaling-schema"


def test_a_traceback_that_was_put_on_one_line_is_read() -> None:
    flat = " ".join(TRACEBACK.split("\n"))
    assert signature(f"2026-01-04 10:00:00 ERROR worker failed: {flat} (request 7)\n") == EXPECTED


def test_uv_explanations_wrapped_by_the_terminal_are_joined() -> None:
    log = (
        "  × No solution found when resolving dependencies:\n"  # noqa: RUF001 - uv prints this sign
        "  ╰─▶ Because lmdeploy==0.11.1 has no wheels with a matching Python ABI tag\n"
        "      (e.g., `cp314`) and you require lmdeploy==0.11.1, we can\n"
        "      conclude that your requirements are unsatisfiable.\n"
    )
    assert signature(log) == "uv-no-python-tag"


def test_line_numbers_count_all_lines() -> None:
    log = "all is well\n" * 70_000 + TRACEBACK
    diagnosis = classify(Evidence.from_log(log))
    assert (diagnosis.signature, diagnosis.number) == (EXPECTED, 70_004)


def test_a_root_cause_is_not_lost_in_a_flood_of_complaints() -> None:
    flood = "".join(f"2026-01-04 10:00:00,0 - engine - ERROR - request {n} failed again\n" for n in range(60_000))
    evidence = Evidence.from_log(flood + TRACEBACK + flood)
    assert classify(evidence).signature == EXPECTED
    assert not evidence.complete


def test_the_end_of_a_flooded_log_is_read() -> None:
    flood = "".join(f"ImportError: cannot import name 'name{n}' from 'package'\n" for n in range(60_000))
    last = Evidence.from_log(flood + "the very last error\n").statements[-1]
    assert "very last" in last.text


@pytest.mark.parametrize(
    "line", [b"error ", b"Traceback (most recent call last):\n", b"cannot import name ", b"\r", b"\0"]
)
def test_what_is_kept_is_bounded(line: bytes) -> None:
    selection = select(io.BytesIO(line * (8_000_000 // len(line))))
    assert sum(len(window.text) for window in selection.windows) <= 4 * ALLOWANCE + 200 * REACH


def test_something_inside_a_very_long_line_is_found() -> None:
    assert signature(b"a" * 5_000_000 + b" " + MISSING.encode() + b" " + b"b" * 5_000_000) == EXPECTED


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([line.encode() for line in TRACEBACK.splitlines()]))))
def test_any_bytes_get_an_answer(parts: list[bytes]) -> None:
    answer = json.loads(explain(b"\n".join(parts), form="json"))
    assert set(answer) >= {"family", "signature", "captures", "remedy", "confidence", "line"}
    assert explain(b"\n".join(parts), form="markdown")

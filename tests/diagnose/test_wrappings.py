"""Whatever wrapped a log, the failure in it is the same as without."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

import pytest

from harness.diagnose import Evidence, classify

if TYPE_CHECKING:
    from collections.abc import Callable

TRACEBACK = (
    'Traceback (most recent call last):\n  File "/v/lib/python3.11/site-packages/a/x.py", line 3, in f\n    y()\n'
)
ERRORS = {
    "name": f"{TRACEBACK}ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils'\n",
    "attribute": f"{TRACEBACK}AttributeError: 'Qwen2VLProcessor' object has no attribute 'image_token'\n",
    "native": "[TM][FATAL] kernels/x.cu(212): Check failed: m == n logits and bitmask must have the same batch size.\n"
    "Aborted (core dumped)\n",
    "memory": f"{TRACEBACK}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
}
PREFIXES = (
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
    "lmdeploy-1  | 2026-01-04 10:00:00,123 - lmdeploy - ERROR - ",
    "##[error]",
    "(RayWorkerWrapper pid=9, ip=10.0.0.1) ",
    "[1/2] ",
    "stderr: ",
    "| ",
)


def _each(prefix: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines())


WRAPPINGS: dict[str, Callable[[str], str]] = {prefix: _each(prefix) for prefix in PREFIXES} | {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "fence": lambda text: f"```python\n{text}```\n",
    "details": lambda text: f"<details>\n<summary>log</summary>\n\n```\n{text}```\n</details>\n",
    "bold": lambda text: "\n".join(
        line if line.startswith(" ") else f"**{line}**" for line in text.splitlines() if line
    ),
    "html": html.escape,
    "docker": lambda text: "".join(
        json.dumps({"log": f"{line}\n", "stream": "stderr"}) + "\n" for line in text.splitlines()
    ),
    "json": lambda text: json.dumps({"level": "error", "message": "failed", "exc_info": text}),
    "repr": repr,
    "flat": lambda text: " ".join(text.split("\n")),
    "unfinished": lambda text: text.rstrip("\n"),
    "progress": lambda text: "Loading: 10%|#  |\rLoading: 90%|####|\r" + text,
    "progress in each line": _each("Loading: 10%|#  | 1/10\r"),
    "surrounded": lambda text: "INFO: ok\n" * 100 + text + "INFO: bye\n" * 100,
    "box": lambda text: "╭──╮\n" + "".join(f"│ {line:<120} │\n" for line in text.splitlines()) + "╰──╯\n",
    "interleaved": lambda text: "".join(f"(W pid=1) {line}\n(W pid=2) {line}\n" for line in text.splitlines()),
    "colour": lambda text: text.replace("Error", "\x1b[1;35mError\x1b[0m"),
    "journal": _each("Nov 27 08:00:00 gpu1 docker[123]: "),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("error", ERRORS)
def test_a_wrapped_log_says_the_same(error: str, wrapping: str) -> None:
    plain = classify(Evidence.from_log(ERRORS[error]))
    assert plain.signature is not None
    assert classify(Evidence.from_log(WRAPPINGS[wrapping](ERRORS[error]))).signature == plain.signature


@pytest.mark.parametrize("error", ERRORS)
def test_utf_16_says_the_same(error: str) -> None:
    plain = classify(Evidence.from_log(ERRORS[error]))
    assert classify(Evidence.from_log(ERRORS[error].encode("utf-16"))).signature == plain.signature

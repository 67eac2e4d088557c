"""Parts of made-up releases; records of runs, and what comparing them with predictions finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.core.records import MachineRecord, Record, StageRecord
from harness.core.verdict import Stage
from harness.scan.answers import truth
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import QWEN2_VL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.scan.sources.release import Library


NO_KWARGS = "class ProcessorMixin:\n    pass\n"
LLAMA4 = {"transformers/models/llama4/__init__.py": "class Llama4Config: pass\n"}
GEN = {"gen/__init__.py": "from transformers import BeamSearchScorer\n"}
NO_BEAMS = {"transformers/generation/__init__.py": "", "transformers/generation/beam_search.py": ""}


def record(lmdeploy: str, transformers: str, *stages: str, model: str = "canary") -> Record:
    """A record of a climb with these stage verdicts."""
    now = datetime(2026, 1, 4, tzinfo=UTC)
    return Record(
        id=f"{lmdeploy}-{transformers}",
        attempt=1,
        axes={
            "lmdeploy": lmdeploy,
            "transformers": transformers,
            "backend": "pytorch",
            "model": model,
            "python": "3.11",
        },
        verdict=stages[-1],
        expected="pass",
        as_expected=None,
        stages=[
            StageRecord(stage=Stage(text.split("/")[1]), verdict=text, seconds=1.0) for text in stages if "/" in text
        ],
        machine=MachineRecord(os="", kernel="", wsl=False, cpu="", cores=1, memory_mib=1),
        command="",
        inputs="",
        harness="",
        started=now,
        finished=now,
    )


GOOD = ("pass/resolve", "pass/import", "pass/configure", "blocked/boot/driver-or-gpu-unavailable")


BAD = ("pass/resolve", "fail/import/symbol-removed-or-not-yet-added(x)")


def compare(
    library: Library, records: Iterable[Record], measured: Iterable[truth.MeasuredPair] = ()
) -> list[truth.Comparison]:
    scanner = Scanner(library, QWEN2_VL)
    return truth.compare(
        lambda model, backend: scanner if (model, backend) == ("canary", "pytorch") else None, records, measured
    )

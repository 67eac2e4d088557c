"""Records in which every text that comes from outside tries something, marked synthetic like all samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.records import CheckRecord, DiagnosisRecord, ExceptionRecord, FrameRecord, Record, StageRecord
from harness.core.verdict import Reason, Stage, Status, Verdict
from tests.report.samples import record_of
from tests.report.troubles import IMAGES_KWARGS, NO_GPU

if TYPE_CHECKING:
    from pydantic import JsonValue

ATTACKS = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    "<!--<script>",
    "\"><img src=x onerror='window.hacked=3'>",
    "' onmouseover='window.hacked=4' x='",
    "javascript:window.hacked=5",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 \x08",
    "safe\u202efdp.exe \u2066isolate \u200bhidden \ufeff",
    "\u2028line\u2029paragraph",
    "lone \ud800 surrogate",
    "${window.hacked=6} `backtick` ```fence```",
    "| pipe | @everyone #1 [link](javascript:alert(1)) ![i](http://example.invalid/i.png)",
    'http://example.invalid/" onclick="window.hacked=7',
    "a" * 5000,
)


def hostile() -> list[Record]:
    """One record for each attack, the attack in every field that takes text, and one more with an endless log."""
    records = [_attacked(index, attack) for index, attack in enumerate(ATTACKS)]
    loud = record_of(
        {"python": "3.11", "lmdeploy": "0.11.1", "transformers": "4.38.2", "backend": "pytorch", "model": "loud"},
        IMAGES_KWARGS,
    )
    check = (
        loud.stages[-1]
        .checks[1]
        .model_copy(update={"log_tail": "spam <b>spam</b>\n" * 1_000_000 + IMAGES_KWARGS.exception[0]})
    )
    stages = [*loud.stages[:-1], loud.stages[-1].model_copy(update={"checks": [check]})]
    return [*records, loud.model_copy(update={"stages": stages})]


def _attacked(index: int, attack: str) -> Record:
    axes = {
        "python": "3.11",
        "lmdeploy": f"0.{index}.1",
        "transformers": "4.38.2",
        "backend": "pytorch",
        "model": f"m{index}",
    }
    passing = index % 3 == 0
    record = record_of(axes, None if passing else NO_GPU if index % 3 == 1 else IMAGES_KWARGS)
    hostile_axes = {name: value + attack for name, value in axes.items() if name not in ("python", "backend")}
    facts: dict[str, JsonValue] = {
        attack: attack,
        "see": {"question": attack, "answers": [attack, attack + "!"], "total_seconds": [1.0, 0.5], "prompt": attack},
        "structure": {"question": attack, "answers": [attack]},
        "image": {"pattern": attack, "size": 112, "colours": ["red", attack, "blue", "green"]},
        "boot": {attack: attack, **dict.fromkeys(("requested", "backend", "engine", "device"), attack)},
        "gpu": {"budget_mib": attack, "peak_mib": -1, "tainted": attack, "held_mib": [[attack, 1], [0, 1], [2, 9], 7]},
    }
    last = _stage(record.stages[-1], attack, facts)
    booted = [_stage(stage, attack, facts) if stage.stage is Stage.BOOT else stage for stage in record.stages[:-1]]
    stages = [*booted, last]
    verdict = Verdict.parse(record.verdict)
    if verdict.reason is not None:
        verdict = Verdict(verdict.status, verdict.stage, verdict.reason, attack)
    return record.model_copy(
        update={
            "id": f"{index} {attack}",
            "axes": axes | hostile_axes | {attack[:40]: attack},
            "verdict": str(verdict),
            "tags": [attack],
            "note": attack,
            "expected": "pass",
            "stages": stages,
            "lock": attack,
            "stack": {f"{attack}-{number}": attack for number in range(3)} | {"lmdeploy": attack},
            "differences": {attack: attack, f"{attack}.": None},
            "command": attack,
            "harness": attack,
            "machine": record.machine.model_copy(
                update={"os": attack, "cpu": attack, "gpus": [attack], "driver": attack}
            ),
        }
    )


def _stage(stage: StageRecord, attack: str, facts: dict[str, JsonValue]) -> StageRecord:
    verdict = Verdict.parse(stage.verdict)
    failing = verdict.status is not Status.PASS
    exception = ExceptionRecord(
        type=attack,
        message=attack,
        frames=[FrameRecord(file=attack, line=1, function=attack, text=attack)],
        cause=ExceptionRecord(type=attack, message=attack),
    )
    diagnosis = DiagnosisRecord(
        signature=attack,
        family=verdict.reason or Reason.UNKNOWN,
        captures={attack: attack},
        confidence=0.5,
        line=attack,
        title=attack,
        cause=attack,
        remedy=attack,
        source=attack,
    )
    check = CheckRecord(
        name="two-pass",
        outcome=verdict.status,
        key=attack,
        seconds=1.0,
        peak_memory_mib=10.0,
        facts=facts,
        exception=exception if failing else None,
        diagnosis=diagnosis if failing else None,
        log_tail=f"before\n{attack}\nafter\n",
    )
    return stage.model_copy(update={"checks": [check]})


def hostile_extras() -> dict[str, JsonValue]:
    """The optional parts, attacked as well."""
    attack = ATTACKS[1]
    return {
        "title": attack,
        "choice": {"model": f"m0{ATTACKS[0]}", "target": attack},
        "models": {f"m0{ATTACKS[0]}": {"title": attack, "hub_id": attack, "quantisation": attack}},
        "previous": {"label": attack, "verdicts": {attack: "pass"}},
        "incidents": {"rows": [{"id": attack, "title": attack, "combination": attack, "remedy": attack, "by": attack}]},
        "gate": {
            "bump": attack,
            "baseline": attack,
            "decision": attack,
            "exit_code": 1,
            "rows": [{"id": attack, "change": "regressed"}],
        },
        "trend": {"points": [{"label": attack, "counts": {"pass": 1}}]},
        "scan": {
            "model": attack,
            "date": attack,
            "rows": [attack],
            "columns": [attack],
            "cells": [[{"prediction": "fail", "findings": [attack]}]],
        },
        "remedies": [
            {"combination": f"2 {ATTACKS[2]}", "change": attack, "outcome": "verified", "by": attack, "note": attack}
        ],
    }

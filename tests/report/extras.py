"""Every optional part of a report, made up to fit the sample records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.report.samples import story

if TYPE_CHECKING:
    from pydantic import JsonValue

MODELS: dict[str, JsonValue] = {
    "qwen2-vl-2b-instruct": {
        "title": "Qwen2-VL-2B-Instruct",
        "hub_id": "Qwen/Qwen2-VL-2B-Instruct",
        "architecture": "Qwen2VLForConditionalGeneration",
        "quantisation": "none",
        "licence": "Apache-2.0",
        "trust_remote_code": False,
    },
    "qwen-vl-chat-int4": {
        "title": "Qwen-VL-Chat-Int4",
        "hub_id": "Qwen/Qwen-VL-Chat-Int4",
        "architecture": "QWenLMHeadModel",
        "quantisation": "gptq-int4",
        "licence": "Tongyi Qianwen",
        "trust_remote_code": True,
    },
    "canary": {
        "title": "Canary (trained 3 M parameter Qwen2-VL)",
        "architecture": "Qwen2VLForConditionalGeneration",
        "quantisation": "none",
        "licence": "Apache-2.0",
        "trust_remote_code": False,
    },
}


def sample_extras() -> dict[str, JsonValue]:
    """Every optional part, made up to fit :func:`story`."""
    broken = "py3.11-lmdeploy0.12.3-transformers4.38.2-pytorch-canary"
    mended = "py3.11-lmdeploy0.12.3-transformers4.57.3-pytorch-canary"
    earlier = {record.id: record.verdict for record in story()[:200]}
    moved = dict(
        zip(list(earlier)[:4], ("pass", "fail/boot/crash", "blocked/import/platform-limits", "pass"), strict=True)
    )
    return {
        "choice": {"model": "qwen2-vl-2b-instruct", "backend": "pytorch", "target": "a GPU with 8 GiB under WSL2"},
        "models": MODELS,
        "previous": {"label": "2026-11-16", "verdicts": {**earlier, **moved, "py3.10-gone": "pass"}},
        "remedies": [
            {
                "combination": broken,
                "change": "transformers 4.38.2 → 4.57.3",
                "outcome": "verified",
                "by": mended,
                "note": "Passes up to preprocess.",
            }
        ],
        "scan": _scan(),
        "incidents": {
            "rows": [
                {
                    "id": "5",
                    "title": "ImagesKwargs",
                    "combination": broken,
                    "reproduces": True,
                    "diagnosed": "symbol-not-yet-added",
                    "expected": "symbol-not-yet-added",
                    "remedy": "transformers 4.42.0 or later.",
                    "verified": True,
                    "by": mended,
                },
                {"id": "3", "title": "Unsupported quant method", "why_not": "needs a GPU", "remedy": "Use turbomind."},
            ]
        },
        "gate": {
            "bump": "transformers==5.23.0",
            "baseline": "2026-11-16",
            "decision": "One regression.",
            "exit_code": 1,
            "rows": [
                {"id": broken, "change": "regressed", "before": "pass", "after": "fail/import/crash", "cause": "-"}
            ],
        },
        "trend": {
            "points": [
                {
                    "label": f"2026-11-{day:02}",
                    "counts": {"pass": 20 + day, "blocked": 60, "fail": 140 - day, "infra": 2},
                }
                for day in (2, 9, 16, 23)
            ]
        },
    }


def _scan() -> JsonValue:
    names = ["transformers.processing_utils.ImagesKwargs (lmdeploy/vl/model/gemma3_vl.py:6)"]
    missing: JsonValue = {"prediction": "fail", "findings": [*names], "measured": "fail"}
    fine: JsonValue = {"prediction": "pass", "findings": [], "measured": "pass"}
    warned: JsonValue = {"prediction": "warn", "findings": ["Qwen2VLConfig.hidden_size moved"], "measured": "fail"}
    return {
        "model": "Qwen2-VL",
        "date": "2026-11-23",
        "rows": ["0.18.0", "0.12.3", "0.11.1"],
        "columns": ["4.38.2", "4.57.3", "5.0.0"],
        "cells": [[missing, fine, fine], [missing, fine, {"prediction": "refused"}], [missing, fine, warned]],
    }

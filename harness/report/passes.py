"""The two passes of the smoke test, read from a check's facts.

Facts are whatever a probe wrote, so every field is looked for and none is relied on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.core.visible import bounded, visible, visible_value
from harness.report.model import PassEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

MAX_SAMPLES = 100
TOTAL_SECONDS = ("total_seconds", "latencies", "seconds", "latency_seconds", "latency", "samples")
FIRST_TOKEN_SECONDS = ("first_token_seconds", "first_token", "time_to_first_token", "ttft")


def passes_of(facts: Mapping[str, JsonValue], smoke: Mapping[str, JsonValue]) -> list[PassEntry]:
    """Both passes, as far as the facts tell; the model spec's ``smoke`` section fills in what was asked.

    Facts are taken from a mapping under the stage's name (``{"see": {"answer": …}}``) or from names that begin with
    it (``see.answer``, ``see_answer``). ``asked`` and ``image`` beside them say what was asked and shown.
    """
    found = []
    for stage in (Stage.SEE, Stage.STRUCTURE):
        told = _of_stage(facts, stage)
        if told:
            found.append(_pass(stage, told, facts, smoke))
    return found


def _of_stage(facts: Mapping[str, JsonValue], stage: Stage) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {}
    nested = facts.get(stage)
    if isinstance(nested, dict):
        told.update(nested)
    for name, value in facts.items():
        for mark in (".", "_", "-", " "):
            if name.startswith(stage + mark):
                told.setdefault(name[len(stage) + 1 :], value)
    return told


def _pass(
    stage: Stage, told: Mapping[str, JsonValue], facts: Mapping[str, JsonValue], smoke: Mapping[str, JsonValue]
) -> PassEntry:
    spoken = (facts.get("asked"), smoke.get(stage))
    asked: Mapping[str, JsonValue] = next((it for it in spoken if isinstance(it, dict)), {})
    images = (told.get("image"), facts.get("image"), smoke.get("image"))
    image: Mapping[str, JsonValue] = next((it for it in images if isinstance(it, dict)), {})
    answers = _texts(_first(told, "answers", "answer", "text", "output"))
    again = _text(_first(told, "again", "second", "answer_again", "second_answer"))
    if again is None and len(answers) > 1:
        again = answers[1]
    answer = answers[0] if answers else None
    shown = stage is Stage.SEE
    expected = _first(told, "expected")
    return PassEntry(
        stage=stage,
        prompt=_text(_first(told, "question") or asked.get("prompt") or _first(told, "prompt")),
        sent=_text(_first(told, "prompt")),
        answer=answer,
        again=again if again != answer else None,
        expected=visible_value(asked.get("expected") if expected is None else expected),
        judge=_text(_first(told, "judge") or asked.get("judge")),
        right=_truth(_first(told, "right", "correct", "ok", "passed")),
        latencies=_seconds(_first(told, *TOTAL_SECONDS)),
        first_token=_seconds(_first(told, *FIRST_TOKEN_SECONDS)),
        new_tokens=_whole(_single(_first(told, "new_tokens", "completion_tokens", "tokens"))),
        prompt_tokens=_whole(_first(told, "prompt_tokens", "input_tokens")),
        colours=_texts(_first(told, "colours") or facts.get("colours") or image.get("colours"))[:4] if shown else [],
        image_size=_whole(_first(told, "image_size") or image.get("size")) if shown else None,
    )


def _first(told: Mapping[str, JsonValue], *names: str) -> JsonValue:
    return next((told[name] for name in names if told.get(name) is not None), None)


def _text(value: JsonValue) -> str | None:
    return visible(bounded(value)) if isinstance(value, str) else None


def _texts(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [visible(bounded(value))]
    if isinstance(value, list):
        return [visible(bounded(item)) for item in value[:10] if isinstance(item, str)]
    return []


def _single(value: JsonValue) -> JsonValue:
    return value[0] if isinstance(value, list) and value else value


def _truth(value: JsonValue) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: JsonValue) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _seconds(value: JsonValue) -> list[float]:
    listed = value if isinstance(value, list) else [value]
    return [
        round(float(item), 6)
        for item in listed[:MAX_SAMPLES]
        if isinstance(item, int | float) and not isinstance(item, bool) and 0 <= item < float("inf")
    ]

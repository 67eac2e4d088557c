"""The two passes of the smoke test, read from a check's facts.

Facts are whatever a probe wrote, so every field is looked for and none is relied on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.core.visible import bounded, visible, visible_value
from harness.probes.smoke.judge import UNSAID
from harness.report.model import PassEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

MAX_SAMPLES = 100


def passes_of(facts: Mapping[str, JsonValue]) -> list[PassEntry]:
    """The passes that the facts tell of, each under its stage's name, with ``asked`` and ``image`` beside them."""
    stages = (Stage.SEE, Stage.STRUCTURE)
    return [_pass(stage, told, facts) for stage in stages if isinstance(told := facts.get(stage), dict) and told]


def _pass(stage: Stage, told: Mapping[str, JsonValue], facts: Mapping[str, JsonValue]) -> PassEntry:
    asked, image = _members(facts.get("asked")), _members(facts.get("image"))
    answer, again = [*_texts(told.get("answers")), None, None][:2]
    judge = _text(asked.get("judge"))
    return PassEntry(
        stage=stage,
        prompt=_text(told.get("question") or asked.get("prompt")),
        sent=_text(told.get("prompt")),
        answer=answer,
        again=again if again != answer else None,
        expected=visible_value(asked.get("expected")),
        judge=judge,
        judged=judge not in UNSAID,
        latencies=_seconds(told.get("total_seconds")),
        first_token=_seconds(told.get("first_token_seconds")),
        new_tokens=next(iter(_wholes(told.get("new_tokens"))), None),
        prompt_tokens=next(iter(_wholes([told.get("prompt_tokens")])), None),
        colours=_texts(image.get("colours"))[:4],
        image_size=next(iter(_wholes([image.get("size")])), None),
    )


def _members(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _items(value: JsonValue) -> list[JsonValue]:
    return value[:MAX_SAMPLES] if isinstance(value, list) else []


def _text(value: JsonValue) -> str | None:
    return visible(bounded(value)) if isinstance(value, str) else None


def _texts(value: JsonValue) -> list[str]:
    return [visible(bounded(item)) for item in _items(value) if isinstance(item, str)]


def _numbers(value: JsonValue) -> list[int | float]:
    return [
        item
        for item in _items(value)
        if isinstance(item, int | float) and not isinstance(item, bool) and 0 <= item < float("inf")
    ]


def _wholes(value: JsonValue) -> list[int]:
    return [int(item) for item in _numbers(value)]


def _seconds(value: JsonValue) -> list[float]:
    return [round(float(item), 6) for item in _numbers(value)]

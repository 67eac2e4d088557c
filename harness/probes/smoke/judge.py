"""Judges an answer against what is known to be in the image.

Greedy decoding gives the same words twice; where it does not, or where the words are nothing, one unit over and over,
or wrong, the stack answers without working.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence

REASON = "wrong-answer"
UNSAID = ("any", "logits")
"""For random weights: there is an answer, without NaN, and the same again; what it says means nothing. ``logits`` are
compared elsewhere, number by number."""
KINDS = ("exact", "contains", "json", *UNSAID)
MIN_REPEATS = 6
"""A unit of up to :data:`MAX_UNIT` characters that fills the answer's end this often counts as repeating."""
MAX_UNIT = 24
SHOWN = 160
"""Characters of an answer shown in a message."""


@dataclass(frozen=True)
class Judgement:
    """Whether the answers are right, and if not, in which way."""

    right: bool
    kind: str = ""
    """Empty when right; else ``nan``, ``empty``, ``not-reproducible``, ``repeating`` or ``wrong``."""
    message: str = ""


def judge(answers: Sequence[str], kind: str, expected: Any, *, nan: bool = False) -> Judgement:
    """Judge the answers to one question asked several times.

    Args:
        answers: what was answered, in order.
        kind: ``exact`` (the same text), ``contains`` (every expected text occurs), ``json`` (the same object) or
            one of :data:`UNSAID`.
        expected: text for ``exact``; text or a list of texts for ``contains``; a mapping for ``json``.
        nan: whether NaN was seen in what the answer was chosen from.

    Raises:
        ValueError: there is no such kind, or no answer.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown judge {kind!r}; one of: {', '.join(KINDS)}")
    if not answers:
        raise ValueError("no answer to judge")
    first = answers[0]
    if nan:
        return Judgement(False, "nan", f"NaN in the scores; answered {_shown(first)}")
    if not (first if kind in UNSAID else first.strip()):  # random weights may well say nothing but line breaks
        return Judgement(False, "empty", "the answer is empty")
    if any(answer != first for answer in answers):
        again = next(answer for answer in answers if answer != first)
        return Judgement(False, "not-reproducible", f"answered {_shown(first)}, then {_shown(again)}")
    difference = _difference(first, kind, expected)
    if difference is None:
        return Judgement(True)
    unit = repeated_unit(first)
    if unit is not None:
        return Judgement(False, "repeating", f"repeats {_shown(unit)}: {_shown(first)}")
    return Judgement(False, "wrong", difference)


def repeated_unit(text: str) -> Optional[str]:
    """The short unit that the end of the text consists of, if it does."""
    stripped = text.strip()
    for length in range(1, MAX_UNIT + 1):
        unit = stripped[-length:]
        if len(stripped) >= length * MIN_REPEATS and stripped.endswith(unit * MIN_REPEATS):
            return unit
    return None


def json_object(text: str) -> Any:
    """The first JSON object in the text, also inside a code fence or after an introduction; None when there is none."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"\{", text):
        try:
            found, _ = decoder.raw_decode(text, match.start())
        except ValueError:
            continue
        return found
    return None


def _difference(answer: str, kind: str, expected: Any) -> Optional[str]:
    if kind in UNSAID:
        return None
    if kind == "exact":
        same = answer.strip() == str(expected).strip()
        return None if same else f"expected {_shown(str(expected))}, got {_shown(answer)}"
    if kind == "contains":
        wanted: List[str] = [expected] if isinstance(expected, str) else [str(item) for item in expected]
        lacking = [item for item in wanted if item.casefold() not in answer.casefold()]
        return f"lacks {', '.join(map(repr, lacking))} in {_shown(answer)}" if lacking else None
    found = json_object(answer)
    if found is None:
        return f"no JSON object in {_shown(answer)}"
    if _comparable(found) == _comparable(expected):
        return None
    return f"expected {json.dumps(expected)}, got {_shown(json.dumps(found))}"


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, dict):
        return {str(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")

"""One request of the smoke test to a model, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .image import draw_quadrants


@dataclass(frozen=True)
class Question:
    """One request to a model."""

    text: str
    max_new_tokens: int
    image: Any = None
    """A Pillow image, or None for a text-only request."""


@dataclass
class Reply:
    """What came back."""

    text: str
    prompt_tokens: Optional[int] = None
    new_tokens: Optional[int] = None
    first_token_seconds: Optional[float] = None
    total_seconds: float = 0.0
    """Of the request alone, where the engine's side takes the time itself."""
    nan: bool = False
    """NaN was seen in the scores that the answer was chosen from."""
    facts: Dict[str, Any] = field(default_factory=dict)


def smoke_image(drawn: Optional[Dict[str, Any]]) -> Any:
    """The image of the model's smoke test; None for a model of text alone.

    Raises:
        ValueError: the spec names a pattern that is not known.
    """
    if drawn is None:
        return None
    if drawn.get("pattern", "quadrants") != "quadrants":
        raise ValueError(f"unknown smoke image pattern {drawn['pattern']!r}; known: quadrants")
    return draw_quadrants(drawn["colours"], int(drawn["size"]))


def stage_facts(question: Question, replies: List[Reply]) -> Dict[str, Any]:
    """What a report shows of one pass; latencies in seconds, one for each time it was asked."""
    return {
        "question": question.text,
        "image": question.image is not None,
        "answers": [reply.text for reply in replies],
        "total_seconds": [round(reply.total_seconds, 4) for reply in replies],
        "first_token_seconds": [
            None if reply.first_token_seconds is None else round(reply.first_token_seconds, 4) for reply in replies
        ],
        "prompt_tokens": replies[0].prompt_tokens,
        "new_tokens": [reply.new_tokens for reply in replies],
        **replies[0].facts,
    }

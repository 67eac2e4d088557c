"""Messages made into model input, in every version's way."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace
from typing import Any

import pytest

from harness.probes.engines import preprocess
from harness.probes.running.events import Failed
from harness.probes.smoke.question import Question, smoke_image
from tests.probes.samples import SMOKE


def test_the_image_comes_before_the_text_and_text_alone_is_a_string() -> None:
    from PIL import Image  # noqa: PLC0415 - only this test needs it

    image = smoke_image(SMOKE["image"])
    (message,) = preprocess.messages(Question("What?", 8, image))
    first, second = message["content"]
    assert (first["type"], second) == ("image_url", {"type": "text", "text": "What?"})
    data = base64.b64decode(first["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(data)).getpixel((3, 0)) == (0, 0, 255)
    assert preprocess.messages(Question("Tell", 8)) == [{"role": "user", "content": "Tell"}]


PIXELS = SimpleNamespace(shape=(64, 1176))


@pytest.mark.parametrize(
    ("ids", "items", "tokens"),
    [
        ([1, 9, 9, 2], [{"pixel_values": PIXELS, "image_tokens": 2}], 2),
        ([1, 0, 0, 2], [{"pixel_values": PIXELS, "image_tokens": 2}], 2),
        ([1, 9, 9, 2], [SimpleNamespace(data=PIXELS)], 2),
        ([1, 2], None, 0),
    ],
    ids=["ids and told", "another id, told", "ids only", "text only"],
)
def test_image_tokens_are_counted_in_every_versions_way(ids: list[int], items: list[Any] | None, tokens: int) -> None:
    told = preprocess.described({"prompt": "p", "input_ids": ids, "multimodal": items}, 9)
    assert (told["image_tokens"], told["ids_count"]) == (tokens, len(ids))
    assert told["pixel_shape"] == ([[64, 1176]] if items else [])


def prepared(tokens: int = 16, prompt: str | None = "p") -> dict[str, Any]:
    return {"prompt": prompt, "ids_count": 59, "image_tokens": tokens, "pixel_shape": [[64, 1176]] if tokens else []}


@pytest.mark.parametrize(
    ("seen", "told", "theirs", "words"),
    [
        (prepared(), prepared(0), 16, ""),
        (prepared(), prepared(0), None, ""),
        (prepared(), prepared(0), 4, "16 image tokens where transformers makes 4"),
        (prepared(0), prepared(0), 16, "the image left no tokens or no pixels"),
        (prepared(), prepared(0, None), 16, "the text-only message gave no prompt"),
    ],
)
def test_only_what_cannot_be_answered_fails(
    seen: dict[str, Any], told: dict[str, Any], theirs: int | None, words: str
) -> None:
    compared = {"image_prompt": {"image_tokens": theirs}}
    both = {"image_prompt": seen, "text_prompt": told}
    if not words:
        preprocess.judge(both, compared)
        return
    with pytest.raises(Failed, match=words) as caught:
        preprocess.judge(both, compared)
    assert caught.value.reason == "tokenizer-processor-drift"


def test_a_model_of_text_alone_needs_no_image() -> None:
    preprocess.judge({"text_prompt": prepared(0)}, {})
    with pytest.raises(Failed, match="the text-only message gave no prompt"):
        preprocess.judge({"text_prompt": prepared(0, None)}, {})


def test_other_ids_than_transformers_are_a_warning() -> None:
    same, other = {"same_ids": True}, {"same_ids": False}
    assert preprocess.warning({"image_prompt": same, "text_prompt": same}) == ""
    assert "in text_prompt" in preprocess.warning({"image_prompt": same, "text_prompt": other})
    assert "not compared" in preprocess.warning({"not_compared": "OSError: no processor"})

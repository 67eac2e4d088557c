"""The job summary: bounded, and inert whatever a package or a model printed."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from harness.report import build_context, render_markdown
from tests.report.extras import sample_extras
from tests.report.hostile import hostile, hostile_extras
from tests.report.samples import START, grid, story

PARSER = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def rendered(text: str) -> str:
    return str(PARSER.render(text))


def test_it_says_what_the_report_says() -> None:
    text = render_markdown(build_context(story(), generated=START, extras=sample_extras()))
    assert "this stack: Qwen2-VL-2B-Instruct on pytorch" in text
    assert "(level " in text
    assert "| 39 | 67 | 120 | 3 | 1 |" in text
    assert "ImagesKwargs is not there yet in this transformers" in text
    assert "**Verified.**" in text
    assert "### Canary" in text


def test_attacks_stay_text() -> None:
    page = rendered(render_markdown(build_context(hostile(), generated=START, extras=hostile_extras())))
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {
        "h1",
        "h2",
        "h3",
        "p",
        "strong",
        "em",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "code",
        "pre",
    }
    assert "<a" not in page
    assert "<img" not in page


@pytest.mark.parametrize("limit", [500, 1_200, 2_500])
def test_it_stays_within_its_limit_and_says_what_it_left_out(limit: int) -> None:
    text = render_markdown(build_context(list(grid(200, filler=2)), generated=START), limit=limit)
    assert len(text.encode()) <= limit
    assert "left out here for their size" in text


def test_an_empty_report_has_a_summary() -> None:
    assert "No combination has a record." in render_markdown(build_context([], generated=START))

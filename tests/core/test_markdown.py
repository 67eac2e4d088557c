"""Text from outside in Markdown: it is shown as it is, and is nothing but text."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.core.markdown import block, code, plain, row, table, within
from harness.core.visible import visible
from tests.report.hostile import ATTACKS

PARSER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
APART = "\u200b"
texts = st.text(st.characters(codec="utf-8"), max_size=200) | st.text("`|\\\n~*_#-+1.)@:/<>[]!&;= a", max_size=30)


def one_line(text: str) -> str:
    return " ".join(visible(text).split())


def words_of(page: str) -> str:
    """What a reader sees of a page that holds one paragraph, which is all of it."""
    found = re.fullmatch(r"(?:<p>((?:(?!<).)*)</p>)?", page.strip(), re.DOTALL)
    assert found, page
    return html.unescape(found[1] or "").replace(APART, "")


@given(texts)
def test_prose_is_one_paragraph_of_what_was_said(text: str) -> None:
    assert words_of(PARSER.render(plain(text))) == one_line(text)


@given(texts)
def test_prose_mentions_nobody_and_links_nowhere(text: str) -> None:
    assert not re.search(r"@(?!\u200b)|#\w|://|www\.", plain(text), re.IGNORECASE)


@given(texts)
def test_code_is_what_was_said(text: str) -> None:
    page = PARSER.render(f"a {code(text)} b").strip()
    inside = f"<code>{html.escape(one_line(text), quote=True)}</code>" if one_line(text) else ""
    assert html.unescape(page) == html.unescape(f"<p>a {inside} b</p>")


@given(texts)
def test_a_block_ends_where_it_is_to_end(text: str) -> None:
    assert len(PARSER.parse(f"{block(text, 'sh')}after")) == 4


@pytest.mark.parametrize("write", [plain, code])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_fills_one_cell_and_no_more(write: object, attack: str) -> None:
    assert callable(write)
    page = PARSER.render(table(("a", "b"), [(write(attack), "end")]))
    assert page.count("<td>") == 2
    assert "<td>end</td>" in page


def test_what_does_not_fit_is_left_out_and_said() -> None:
    parts = ["# é\n", row(["x" * 100]), "end\n"]
    assert within(parts, 1000, "more") == "".join(parts)
    assert within(parts, 20, "more") == "# é\nend\nmore"

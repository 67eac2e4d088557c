"""The gate's comment and job summary."""

from __future__ import annotations

from markdown_it import MarkdownIt

from harness.core.comparison import Change
from harness.gate.markdown import COMMENT_BYTES, SUMMARY_BYTES, markdown
from tests.gate.samples import cause, outcome, row


def test_markdown_is_bounded_and_nothing_in_it_is_markup() -> None:
    rows = [row(number, Change.REGRESSED, after=f"fail/import/crash({number})" + "é" * 400) for number in range(6000)]
    for most in (SUMMARY_BYTES, COMMENT_BYTES):
        text = markdown(outcome(rows, [cause(1)]), most, every=True)
        assert len(text.encode()) <= most
        assert "left out here" in text
    html = MarkdownIt("commonmark").enable("table").render(markdown(outcome(rows[:2], [cause(1)]), 9000, every=True))
    assert "<script>" not in html
    assert html.count("<tr>") == 3
    assert "@all" not in html

"""Text from outside made safe to look at."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.core.visible import visible


@given(st.text())
def test_visible_text_hides_nothing_and_can_be_written(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert all(letter in "\t\n" or letter.isprintable() or letter.isspace() or ord(letter) > 0x2FF for letter in shown)

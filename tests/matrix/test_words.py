"""What ``-k`` selects."""

from __future__ import annotations

import pytest

from harness.matrix.words import holds

ID = "lmdeploy0.18.0-transformers5.17.0-pytorch-canary-py3.11"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("canary", True),
        ("Canary and pytorch", True),
        ("lmdeploy0.18.0 and canary", True),
        ("lmdeploy0.18.0 and not canary", False),
        ("turbomind or canary and py3.11", True),
        ("(turbomind or canary) and py3.12", False),
        ("not (turbomind or py3.12)", True),
    ],
)
def test_words_are_joined_as_in_nox(text: str, expected: bool) -> None:
    assert holds(text)(ID) is expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a word is missing"),
        ("canary and", "a word is missing"),
        ("(canary", "a bracket is not closed"),
        ("canary pytorch", "'and' or 'or' is wanted before 'pytorch'"),
    ],
)
def test_what_is_no_expression_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        holds(text)

"""Records hold numbers that are numbers, whoever wrote them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.core.records import CheckRecord


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 30])
@pytest.mark.parametrize(
    "check",
    [
        '{{"name": "x", "outcome": "pass", "key": "", "seconds": 1, "facts": {{"a": [1, {{"b": {}}}]}}}}',
        '{{"name": "x", "outcome": "pass", "key": "", "seconds": 1, "facts": {{"a": {}}}}}',
    ],
)
def test_a_number_that_is_none_is_no_record(check: str, number: str) -> None:
    with pytest.raises(ValidationError):
        CheckRecord.model_validate_json(check.format(number))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_neither_are_seconds(number: str) -> None:
    with pytest.raises(ValidationError):
        CheckRecord.model_validate_json(f'{{"name": "x", "outcome": "pass", "key": "", "seconds": {number}}}')

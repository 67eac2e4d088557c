"""Conditions, decided as far as they can be."""

from __future__ import annotations

import ast

import pytest

from harness.scan.sources.conditions import Surroundings, decide, read_test

HERE = Surroundings(
    {"transformers": "4.57.3", "python": "3.11"}, {"is_torch_available": True, "is_flax_available": False}
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("TYPE_CHECKING", False),
        ("typing.TYPE_CHECKING", False),
        ("not TYPE_CHECKING", True),
        ("version.parse(transformers.__version__) >= version.parse('4.45.0')", True),
        ("transformers.__version__ < '4.45'", False),
        ("'4.45' > transformers.__version__", False),
        ("sys.version_info >= (3, 12)", False),
        ("is_torch_available() and is_flax_available()", False),
        ("is_torch_available() or unknown()", True),
        ("is_torch_available() and unknown()", None),
        ("importlib.metadata.version('transformers') == '4.57.3'", True),
        ("is_transformers_greater_or_equal('5.0')", False),
        ("torch.__version__ > '2'", None),
        ("something", None),
    ],
)
def test_conditions_are_decided_as_far_as_they_can_be(condition: str, expected: bool | None) -> None:
    assert decide(read_test(ast.parse(condition, mode="eval").body), HERE) is expected

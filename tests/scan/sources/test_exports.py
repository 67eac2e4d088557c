"""What a file exports, read without parsing it."""

from __future__ import annotations

import pytest

from harness.scan.sources.exports import exported_names


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('__all__ = ["A", "B"]', {"A", "B"}),
        ("__all__: list[str] = ('A',)", {"A"}),
        ('@requires(backends=("torch",))\nclass A:\n    pass', {"A"}),
        ("__all__ = [name for name in other]", set()),
        ("nothing = 1", set()),
    ],
)
def test_exports_are_read_without_parsing_the_file(source: str, expected: set[str]) -> None:
    assert exported_names(source.encode()) == expected

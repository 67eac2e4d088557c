"""YAML with the places of its values."""

from __future__ import annotations

from harness.matrix.document import parse_document
from tests.matrix.samples import SMALL, parsed


def test_numbers_that_are_versions_stay_as_they_are_written() -> None:
    matrix = parsed(SMALL.replace("0.18.0", "0.20"))
    assert matrix.axes is not None
    assert matrix.axes.python == ("3.10",)
    assert matrix.axes.lmdeploy == ("0.11.1", "0.20")


def test_a_document_remembers_where_values_and_keys_stand() -> None:
    document = parse_document(b"a:\n  - x: 1\n    yy: two\n", "d.yaml")
    assert document.place(("a", 0, "yy")) == (3, 9, "a[0].yy")
    assert document.place(("a", 0, "yy"), of_key=True) == (3, 5, "a[0].yy")
    assert document.place(("a", 0, "missing")) == (2, 5, "a[0]")

"""What the documents say agrees with the code."""

from __future__ import annotations

from benchmarks.structure import PAGE, with_diagram


def test_the_diagram_of_folders_is_what_the_imports_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_diagram(page) == page, "run: uv run python -m benchmarks.structure --diagram"

"""Whether a release has a dotted name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.scan.evaluation.names import Names
from harness.scan.sources.release import Library
from tests.scan.miniatures import publish, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "fish/__init__.py": "from .tables import Fish as Exported\n",
    "fish/models/__init__.py": "",
    "fish/tables.py": """
        import os as system
        from torch import Module
        try:
            from x import Late
        except ImportError:
            Late = None
        TABLE = {"default": 1}
        TYPED: dict[str, int] = {"other": 1}
        class Animal:
            legs: int = 4
        class Fish(Animal):
            fins: int = 2
            def swim(self):
                self.depth = 3
        class Layer(Module):
            width = 1
    """,
}


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    """Of a package whose module is called otherwise."""
    publish(tmp_path, "pkg", wheel("pkg", "1.0", FILES))
    library = Library(tmp_path / "cache", index_url=tmp_path.as_uri())
    yield Names(library.release("pkg", "1.0"), "fish")
    library.close()


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("fish", True),
        ("fish.models", True),
        ("fish.birds", False),
        ("fish.tables.Late", True),
        ("fish.tables.system", True),
        ("fish.tables.Bird", False),
        ("fish.tables.TABLE[default]", True),
        ("fish.tables.TABLE[other]", False),
        ("fish.tables.TYPED[other]", True),
        ("fish.tables.Fish.fins", True),
        ("fish.tables.Fish.depth", True),
        ("fish.tables.Fish.swim", True),
        ("fish.tables.Fish.legs", True),
        ("fish.tables.Fish.wings", False),
        ("fish.tables.Fish.swim.deeper", False),
        ("fish.tables.Layer.width", True),
        ("fish.tables.Layer.forward", False),
        ("fish.Exported.fins", True),
        ("other.thing", False),
    ],
)
def test_names_are_found_in_sources(names: Names, name: str, there: bool) -> None:
    assert names.has(name) is there

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
        TYPED.update({"later": 2})
        CALLED = dict(named=3)
        class Animal:
            legs: int = 4
        class Fish(Animal):
            fins: int = 2
            def __init__(self, size, colour=None):
                self.size = size
            def swim(self, speed):
                self.depth = 3
        class Layer(Module):
            width = 1
        def feed(fish, *, grams):
            return grams
    """,
    "fish/lazy/__init__.py": """
        def attach(name, submodules, submod_attrs):
            return object
        SERVED = {"deep": ["Whale"], "deeper.still": ["Squid"]}
        __getattr__, __dir__, __all__ = attach(__name__, submodules=[], submod_attrs=SERVED)
    """,
    "fish/lazy/deep.py": "class Whale: pass\n",
    "fish/lazy/deeper/__init__.py": "",
    "fish/lazy/deeper/still.py": "def Squid(ink): pass\n",
    "fish/open/__init__.py": "globals().update(made())\n",
    "fish/open/part.py": "",
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
        ("fish.tables.TYPED[later]", True),
        ("fish.tables.CALLED[named]", True),
        ("fish.tables.*[named]", True),
        ("fish.tables.*[unnamed]", False),
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
        ("fish.tables.Fish(colour)", True),
        ("fish.tables.Fish(weight)", False),
        ("fish.tables.Fish.swim(speed)", True),
        ("fish.tables.Fish.swim(depth)", False),
        ("fish.tables.feed(grams)", True),
        ("fish.tables.feed(litres)", False),
        ("fish.tables.nobody(grams)", False),
        ("fish.lazy.Whale", True),
        ("fish.lazy.Squid(ink)", True),
        ("fish.lazy.Shark", False),
        ("fish.tables.", True),
        ("fish.tables.Fish.", False),
    ],
)
def test_names_are_found_in_sources(names: Names, name: str, there: bool) -> None:
    assert names.has(name) is there


@pytest.mark.parametrize(
    ("name", "there"), [("fish.open.part", True), ("fish.open.part.", True), ("fish.open.x", None)]
)
def test_what_a_module_binds_by_computing_is_not_told(names: Names, name: str, there: bool | None) -> None:
    assert names.sees(name) is there


def test_the_home_of_a_name_is_found_near_the_root_and_in_depth(names: Names) -> None:
    assert names.home("Exported", deep=False) == "fish.Exported"
    assert names.home("feed", deep=False) == ""
    assert names.home("feed", deep=True) == "fish.tables.feed"


def test_the_arguments_of_a_call_stand_beside_one_that_is_not_there(names: Names) -> None:
    assert names.beside("fish.tables.Fish(weight)") == {"self", "size", "colour"}
    assert names.beside("fish.tables.Fish.swim(depth)") == {"self", "speed"}

"""Where names begin and end is read from sources, not guessed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.diagnose.boundaries import Boundaries, shipped
from harness.diagnose.derive import derive, exists

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "pkg"
    (root / "models" / "fish").mkdir(parents=True)
    (root / "__init__.py").write_text('_import_structure = {"beam": ["BeamScorer"]}\n', "utf-8")
    (root / "models" / "fish" / "modeling_fish.py").write_text(
        '__all__ = ["FishModel"]\nclass FishModel: ...\n', "utf-8"
    )
    (root / "models" / "fish" / "__init__.py").write_text("", "utf-8")
    (root / "tables.py").write_text(
        "import os as system\ntry:\n    from x import Late\nexcept ImportError:\n    Late = None\n"
        'TABLE = {"default": 1}\nclass Fish:\n    fins: int = 2\n    def swim(self):\n        self.depth = 3\n',
        "utf-8",
    )
    return tmp_path


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("pkg.BeamScorer", True),
        ("pkg.FishModel", True),
        ("pkg.BirdModel", False),
        ("pkg.models.fish", True),
        ("pkg.models.bird", False),
        ("pkg.tables.Late", True),
        ("pkg.tables.system", True),
        ("pkg.tables.TABLE[default]", True),
        ("pkg.tables.TABLE[other]", False),
        ("pkg.tables.Fish.fins", True),
        ("pkg.tables.Fish.depth", True),
        ("pkg.tables.Fish.swim", True),
        ("pkg.tables.Fish.wings", False),
        ("other.thing", False),
    ],
)
def test_names_are_found_in_sources(package: Path, name: str, there: bool) -> None:
    assert exists(name, package) is there


def test_deriving_finds_the_exact_neighbours_with_few_fetches(tmp_path: Path) -> None:
    versions = [f"1.{minor}.{patch}" for minor in range(10) for patch in range(8)]
    fetched: list[str] = []

    @contextmanager
    def fetch(version: str) -> Iterator[Path]:
        fetched.append(version)
        names = [n for n, low, high in (("Old", "0", "1.3.4"), ("New", "1.6.2", "9")) if _within(version, low, high)]
        (tmp_path / "pkg").mkdir(exist_ok=True)
        (tmp_path / "pkg" / "m.py").write_text("".join(f"{n} = 1\n" for n in names), "utf-8")
        yield tmp_path

    runs, known = derive(["pkg.m.Old", "pkg.m.New", "pkg.m.Never"], versions, fetch)
    assert runs == {"pkg.m.Old": (("1.0.0", "1.3.4"),), "pkg.m.New": (("1.6.2", "1.9.7"),), "pkg.m.Never": ()}
    assert sorted(fetched) == sorted(known)
    assert len(fetched) < len(versions) / 3


def _within(version: str, low: str, high: str) -> bool:
    return Version(low) <= Version(version) <= Version(high)


TABLE = Boundaries(
    package="pkg",
    derived="2026-01-04",
    versions=("1.0", "1.1", "1.2", "2.0"),
    names={"pkg.Old": (("1.0", "1.1"),), "pkg.sub.New": (("1.1", "2.0"),), "pkg.Gap": (("1.0", "1.0"), ("2.0", "2.0"))},
)


def test_a_table_answers_with_versions_and_requirements() -> None:
    assert TABLE.present("pkg.Old") == ["1.0", "1.1"]
    assert TABLE.requirements("pkg.Old") == ["pkg<=1.1"]
    assert TABLE.requirements("pkg.sub.New") == ["pkg>=1.1"]
    assert TABLE.requirements("pkg.New") == ["pkg>=1.1"]
    assert TABLE.requirements("pkg.Gap") == ["pkg<=1.0", "pkg>=2.0"]
    assert TABLE.requirements("pkg.Other") == []


def test_two_ranges_intersect_or_not() -> None:
    assert TABLE.satisfying(["pkg.Old", "pkg.sub.New"]) == ["1.1"]
    assert TABLE.satisfying(["pkg.Old", "pkg.Nothing"]) == []


def test_the_shipped_table_settles_the_deadlock_of_the_log() -> None:
    table = shipped()
    both = table.satisfying(["transformers.BeamSearchScorer", "transformers.processing_utils.ImagesKwargs"])
    assert "4.42.0" in both
    assert "4.56.2" in both
    assert "4.38.2" not in both
    assert "4.57.3" not in both

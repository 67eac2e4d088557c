"""Bytecode kept for probes: of the sources that are where they should be, by an interpreter that is not tested."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.process.bytecode import LIST, WORTHWHILE, keep_bytecode
from harness.process.child import Children

INTERPRETER = Path(sys.executable).resolve()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The environment with enough sources, the harness's scratch, and the child's."""
    environment, scratch = tmp_path / "environment", tmp_path / "scratch"
    environment.mkdir()
    for number in range(WORTHWHILE):
        (environment / f"module_{number}.py").write_text(f"x = {number}")
    (scratch / "child").mkdir(parents=True)
    return environment, scratch, scratch / "child"


def compiled(folder: Path) -> int:
    return len(list(folder.rglob("*.pyc")))


def listed(environment: Path) -> str:
    return "".join(f"{each}\n" for each in sorted(environment.glob("*.py")))


@pytest.mark.parametrize("shut_in", [True, False])
def test_listed_sources_are_compiled(folders: tuple[Path, Path, Path], *, shut_in: bool) -> None:
    environment, scratch, child = folders
    (child / LIST).write_text(listed(environment))
    keep_bytecode(Children(), INTERPRETER, scratch, child, [environment], shut_in=shut_in)
    assert compiled(environment) == WORTHWHILE


def test_a_name_counts_by_the_file_it_means(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    environment, scratch, child = folders
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.py").write_text("")
    (outside / "way_in.py").symlink_to(environment / "module_0.py")
    (environment / "way_out.py").symlink_to(outside / "x.py")
    names = [
        outside / "x.py",
        outside / "way_in.py",
        environment / "way_out.py",
        environment / ".." / "outside" / "x.py",
    ]
    (child / LIST).write_text(listed(environment) + "".join(f"{each}\n" for each in names) + "\0\0.py\n")
    keep_bytecode(Children(), INTERPRETER, scratch, child, [environment], shut_in=False)
    assert compiled(outside) == 0
    assert compiled(environment) == WORTHWHILE


def test_a_list_that_is_a_link_is_not_read(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    environment, scratch, child = folders
    (tmp_path / "list").write_text(listed(environment))
    (child / LIST).symlink_to(tmp_path / "list")
    keep_bytecode(Children(), INTERPRETER, scratch, child, [environment], shut_in=False)
    assert compiled(environment) == 0

"""What comes along with an engine release: the torch it gets, and imports that nothing in the stack brings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.engines import Backend
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import QWEN2_VL
from harness.scan.sources.release import Library
from tests.scan.miniatures import TABLE, engine, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DRIVER = """
    import os
    from triton.runtime.build import _build
"""
BUILD = """
    import setuptools


    def _build():
        import elsewhere
"""
TRITON = {
    "triton/__init__.py": "from ._C.compiled.part import made\n",
    "triton/_C/compiled.cpython-311-x86_64-linux-gnu.so": "",
    "triton/backends/nvidia/driver.py": DRIVER,
}
TRITON |= {"triton/runtime/build.py": BUILD}


def scanner(tmp_path: Path, requires: Sequence[str], **packages: Sequence[tuple[str, bytes]]) -> Scanner:
    """A scanner of an index with one engine that has these requirements, one transformers, and these packages."""
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.8.0", requires=tuple(requires)))
    publish(index, "transformers", wheel("transformers", "4.51.3", TABLE))
    for name, releases in packages.items():
        publish(index, name, *releases)
    return Scanner(Library(tmp_path / "cache", index_url=index.as_uri()), QWEN2_VL)


def undeclared(found: Scanner) -> list[tuple[str, str, int]]:
    findings = found.engine("0.8.0").own_findings
    return [(each.name, each.consumer_file, each.line) for each in findings if each.kind == "requirement-undeclared"]


TORCHES = [
    wheel("torch", "2.5.0", {}, requires=("triton==3.1.0",)),
    wheel("torch", "2.6.0", {}, requires=("triton==3.2.0", 'setuptools; python_version >= "3.12"')),
]
TRITONS = [wheel("triton", "3.1.0", {}), wheel("triton", "3.2.0", TRITON)]
SETUPTOOLS = [wheel("setuptools", "80.0", {})]


def test_an_import_that_nothing_brings_ends_every_boot_of_the_pytorch_engine(tmp_path: Path) -> None:
    found = scanner(tmp_path, ["torch<=2.6.0"], torch=TORCHES, triton=TRITONS, setuptools=SETUPTOOLS)
    assert undeclared(found) == [("setuptools", "triton/runtime/build.py", 1)]
    assert found.scan("0.8.0", "4.51.3").verdict == "fail"
    found.target = replace(found.target, backend=Backend.TURBOMIND)
    again = Scanner(found.library, found.target)
    assert undeclared(again) == []


@pytest.mark.parametrize(
    ("requires", "extra"),
    [
        (["torch<=2.6.0", "setuptools"], []),
        (["torch<=2.6.0", "outer"], [wheel("inner", "1", {}, requires=("setuptools",))]),
    ],
    ids=["by the engine", "by a requirement's requirement"],
)
def test_what_anything_in_the_stack_brings_is_not_missed(
    tmp_path: Path, requires: list[str], extra: list[tuple[str, bytes]]
) -> None:
    outer = [wheel("outer", "1", {}, requires=("inner",))]
    packages = {"torch": TORCHES, "triton": TRITONS, "setuptools": SETUPTOOLS, "outer": outer, "inner": extra}
    found = scanner(tmp_path, requires, **{name: releases for name, releases in packages.items() if releases})
    assert undeclared(found) == []


def test_what_a_model_adds_to_the_stack_counts(tmp_path: Path) -> None:
    found = scanner(tmp_path, ["torch<=2.6.0"], torch=TORCHES, triton=TRITONS, setuptools=SETUPTOOLS)
    assert undeclared(Scanner(found.library, QWEN2_VL.with_imports((), ("setuptools",)))) == []


def test_the_newest_torch_is_one_whose_triton_the_engine_allows(tmp_path: Path) -> None:
    found = scanner(tmp_path, ["torch<=2.6.0", "triton==3.1.0"], torch=TORCHES, triton=TRITONS)
    assert str(found.engine("0.8.0").torch) == "2.5.0"


def test_the_newest_torch_is_one_whose_torchvision_the_engine_allows(tmp_path: Path) -> None:
    visions = [wheel("torchvision", f"0.{20 + n}.0", {}, requires=(f"torch==2.{5 + n}.0",)) for n in (0, 1)]
    packages = {"torch": TORCHES, "triton": TRITONS, "torchvision": visions}
    found = scanner(tmp_path, ["torch<=2.6.0", "torchvision<0.21"], **packages)
    assert str(found.engine("0.8.0").torch) == "2.5.0"

"""What the documents say agrees with the code."""

from __future__ import annotations

import ast
import re

import pytest

from benchmarks.structure import PACKAGE, PAGE, ROOT, Imports, between_parts, module_imports, with_diagram

FOLDERS = sorted(each.parent.name for each in (ROOT / PACKAGE).glob("*/__init__.py"))
SAY_IT_OTHERWISE = {"cli", "core", "probes"}
"""What is above all folders, and what imports none."""


@pytest.fixture(scope="module")
def imports() -> Imports:
    return between_parts(module_imports(ROOT))


def said_of(folder: str) -> str:
    text = (ROOT / PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or ""


def test_the_diagram_of_folders_is_what_the_imports_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_diagram(page) == page, "run: uv run python -m benchmarks.structure --diagram"


@pytest.mark.parametrize("folder", [each for each in FOLDERS if each not in SAY_IT_OTHERWISE])
def test_a_folder_imports_what_it_says_and_nothing_else(folder: str, imports: Imports) -> None:
    found = re.search(r"^Imports only (.+?)\.$", said_of(folder), re.DOTALL | re.MULTILINE)
    assert found is not None
    real = {each for each in imports[folder] if each in FOLDERS}
    assert set(re.findall(r"``(\w+)``", found[1])) == real, f"say it in harness/{folder}/__init__.py"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_modules_that_a_folder_points_to_are_there(folder: str) -> None:
    for name in re.findall(r":mod:`(\w+)`", said_of(folder)):
        assert (ROOT / PACKAGE / folder / f"{name}.py").exists(), name

"""Which files are somebody's code, and what a release lacks of what they ask."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from harness.scan.evaluation.code import Lacking, NoCode, OneRelease, code_at, lacking
from harness.scan.sources.release import Library
from tests.scan.miniatures import publish, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An index with two releases that have moved one class."""
    index = tmp_path / "index"
    before = {"lmdeploy/__init__.py": "", "lmdeploy/serve/__init__.py": "", "lmdeploy/serve/old.py": "class A: ..."}
    after = {"lmdeploy/__init__.py": "", "lmdeploy/serve/__init__.py": "", "lmdeploy/serve/core.py": "class A: ..."}
    publish(index, "lmdeploy", wheel("lmdeploy", "0.9.0", before), wheel("lmdeploy", "0.12.0", after))
    found = Library(tmp_path / "cache", index_url=index.as_uri())
    yield found
    found.close()


@pytest.fixture
def lacks(tmp_path: Path, library: Library) -> Callable[[str, str], Lacking]:
    """What a version lacks of what a source asks."""

    def ask(version: str, text: str) -> Lacking:
        path = tmp_path / "app.py"
        path.write_text(dedent(text))
        return lacking(code_at(path), OneRelease(library.release("lmdeploy", version), "lmdeploy"))

    return ask


def names(failures: tuple[object, ...]) -> list[str]:
    return [failure.symbol for failure in failures]  # type: ignore[attr-defined] # failures


def test_a_moved_class_ends_the_import_or_the_call(lacks: Callable[[str, str], Lacking]) -> None:
    source = "from lmdeploy.serve.old import A\ndef f():\n    from lmdeploy.serve.old import A\n"
    assert lacks("0.9.0", source) == Lacking((), (), (), ())
    found = lacks("0.12.0", source)
    assert names(found.at_import) == names(found.when_called) == ["lmdeploy.serve.old.A"]
    assert (found.at_import[0].line, found.when_called[0].line, found.when_called[0].function) == (1, 3, "f")


def test_a_fallback_is_enough_and_two_missing_ones_are_not(lacks: Callable[[str, str], Lacking]) -> None:
    source = """
        try:
            from lmdeploy.serve.old import A
        except ImportError:
            from lmdeploy.serve.{} import A
    """
    moved = lacks("0.12.0", source.format("core"))
    assert (moved.at_import, names(moved.caught)) == ((), ["lmdeploy.serve.old.A"])
    assert names(lacks("0.12.0", source.format("nowhere")).at_import) == ["lmdeploy.serve.nowhere.A"]


def test_tests_of_the_version_and_of_names_are_decided(lacks: Callable[[str, str], Lacking]) -> None:
    by_version = """
        import lmdeploy
        from packaging.version import parse
        if parse(lmdeploy.__version__) >= parse("0.10"):
            from lmdeploy.serve.core import A
        else:
            from lmdeploy.serve.old import A
    """
    by_name = """
        import lmdeploy.serve as serve
        if not hasattr(serve, "core"):
            from lmdeploy.serve.old import A
        else:
            serve.core
    """
    for version in ("0.9.0", "0.12.0"):
        assert lacks(version, by_version) == lacks(version, by_name) == Lacking((), (), (), ())


def test_behind_another_test_it_need_not_be_needed(lacks: Callable[[str, str], Lacking]) -> None:
    found = lacks("0.12.0", "if wanted():\n    from lmdeploy.serve.old import A\n")
    assert (found.at_import, names(found.behind_a_test)) == ((), ["lmdeploy.serve.old.A"])


def test_a_missing_attribute_is_no_import_error(lacks: Callable[[str, str], Lacking]) -> None:
    source = "import lmdeploy\ntry:\n    lmdeploy.gone\nexcept {}:\n    pass\n"
    assert names(lacks("0.9.0", source.format("ImportError")).at_import) == ["lmdeploy.gone"]
    assert lacks("0.9.0", source.format("AttributeError")).at_import == ()


def test_a_folder_knows_its_own_modules_and_leaves_environments_out(tmp_path: Path) -> None:
    (tmp_path / "src" / "lmdeploy").mkdir(parents=True)
    (tmp_path / "src" / "lmdeploy" / "__init__.py").write_text("import torch, lmdeploy.x\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "x.py").write_text("import hidden\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pyvenv.cfg").touch()
    (tmp_path / "mine" / "x.py").write_text("import hidden\n")
    code = code_at(tmp_path)
    assert code.roots == {"torch"}
    assert code.needs("lmdeploy")[0].symbol == "lmdeploy.x"


def test_a_place_without_code_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoCode, match="no Python file is there"):
        code_at(tmp_path)

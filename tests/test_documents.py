"""What the documents name is there, in the words of the README."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from harness.cli.main import main
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "reports").glob("*.md")]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in sorted(PAGES)}
NAMED = re.compile(r"`((?:harness|tests|docs|benchmarks|models|matrices|\.ci|\.github)/[\w./-]+)`")
RUN = re.compile(r"python -m ((?:harness|tests|benchmarks)(?:\.\w+)*)")
OLD_WORDS = re.compile(r"\b(ladder|climb\w*|rungs?)\b", re.IGNORECASE)


def shown_commands(text: str) -> Iterator[list[str]]:
    """The commands of the page's console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in re.findall(r"^\S*\$\s+(.*)$", re.sub(r"\\\n\s*", "", block), re.MULTILINE):
            for part in line.replace("…", "X").split("&&"):
                yield shlex.split(part, comments=True)


def nox_sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    named = [
        (each.name, ast.unparse(mark))
        for each in tree.body
        if isinstance(each, ast.FunctionDef)
        for mark in each.decorator_list
    ]
    given = {name: re.search(r"name='([\w-]+)'", mark) for name, mark in named if mark.startswith("nox.session")}
    return {name if said is None else said[1] for name, said in given.items()}


def refuse_unknown(command: click.Command, arguments: list[str]) -> None:
    """Raise click's own complaint about an unknown command or option; values are not looked at."""
    context = click.Context(command, info_name=command.name)
    if not isinstance(command, click.Group):
        command.make_parser(context).parse_args(arguments)
    elif arguments and not arguments[0].startswith("-"):
        name, found, rest = command.resolve_command(context, arguments)
        assert found is not None, name
        refuse_unknown(found, rest)


@pytest.mark.parametrize("page", TEXTS)
def test_commands_that_are_shown_exist(page: str) -> None:
    sessions = nox_sessions()
    for words in shown_commands(TEXTS[page]):
        if "nox" in words and "-s" in words:
            asked = words[words.index("-s") + 1 :]
            names = asked[: next((place for place, each in enumerate(asked) if each.startswith("-")), len(asked))]
            assert {each.partition("(")[0] for each in names} <= sessions, words
        elif "lmdeploy-harness" in words:
            refuse_unknown(main, words[words.index("lmdeploy-harness") + 1 :])


@pytest.mark.parametrize("page", TEXTS)
def test_files_that_are_named_exist(page: str) -> None:
    named = [each for each in NAMED.findall(TEXTS[page]) if "NAME" not in each]
    assert [each for each in named if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("page", TEXTS)
def test_modules_that_are_to_be_run_do_something(page: str) -> None:
    for name in RUN.findall(TEXTS[page]):
        place = ROOT / name.replace(".", "/")
        starts = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
        assert starts.exists(), name
        assert place.is_dir() or '__name__ == "__main__"' in starts.read_text(encoding="utf-8"), name


@pytest.mark.parametrize("page", sorted(TEXTS.keys() - {"CHANGELOG.md"}))  # it says which words there were
def test_pages_speak_of_stages(page: str) -> None:
    assert OLD_WORDS.findall(TEXTS[page]) == []


@pytest.mark.parametrize("page", ["README_zh-CN.md", "README_ja.md"])
def test_translations_show_the_commands_of_the_readme(page: str) -> None:
    shown, told = list(shown_commands(TEXTS["README.md"])), list(shown_commands(TEXTS[page]))
    assert [words for words in told if words not in shown] == []
    assert told == list(shown_commands(TEXTS["README_ja.md"]))
    assert f"]({page})" in TEXTS["README.md"]

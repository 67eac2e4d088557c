"""What a matrix may say, and what its mistakes are called."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from harness.matrix import MatrixError, load_matrix, parse_matrix
from tests.matrix.samples import SMALL, parsed, problems_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"version: 1\naxes: [\n", 3, 1, "not valid YAML"),
        (b"version: 1\n\taxes: 2\n", 2, 1, "tab"),
        (b"version: 1\nversion: 2\n", 2, 1, "a second time; first on line 1"),
        (b"version: \xff\n", 1, 10, "not UTF-8"),
        (b"version: 1\x00\n", 1, 11, "may not stand in YAML"),
        (b"a: &x [1]\nb: *y\n", 2, 4, "has no anchor"),
        (b"a: &x [*x]\n", 1, 4, "contains itself"),
        (b"a: !!python/name:os.system x\n", 1, 4, "tag"),
        (b"!local a: 1\n", 1, 1, "tag"),
        (b"a: {<<: {b: 1}}\n", 1, 5, "merge keys"),
        (b"? [1, 2]\n: 3\n", 1, 3, "a key must be text"),
        (b"a: 1\n---\nb: 2\n", 2, 1, "second document"),
        (b"[" * 400, 1, 33, "nested deeper"),
        (b'a: "\\UFFFFFFFF"\n', 1, 1, "not valid YAML"),
        (b"a: 1\nb:\n  - 'c'\n  - \"\\UFFFFFFFF\"\n", 3, 5, "not valid YAML"),
        (b"", 1, 1, "empty"),
        (b"[1, 2]", 1, 1, "must be a mapping"),
    ],
)
def test_unreadable_files_are_located(content: bytes, line: int, column: int, words: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(content, "m.yaml")
    first = caught.value.problems[0]
    assert (first.line, first.column) == (line, column), str(first)
    assert words in first.message + first.hint


def test_an_alias_bomb_is_stopped() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))
    with pytest.raises(MatrixError, match="multiply into something huge"):
        parse_matrix(f"l0: &l0 [x]\n{levels}\n".encode())


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    windows = parse_matrix(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert windows.model_dump() == parsed(SMALL).model_dump()


def test_a_missing_file_is_a_problem_of_that_file(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"nowhere\.yaml:1:1: cannot be read: No such file"):
        load_matrix(tmp_path / "nowhere.yaml")


def test_every_mistake_of_a_file_is_listed_with_place_and_remedy() -> None:
    text = SMALL.replace("backend: [pytorch, transformers]", "backend: [pytroch]") + (
        "exlude: []\n"
        "include:\n"
        "  - {python: 3.11, lmdeploy: 0.18.0, transformers: latst, backend: pytorch, model: canary, lunch: server}\n"
        "exclude:\n"
        "  - {lmdeploy: 0.11.1}\n"
        "timeouts: {boot: {wall: 300}}\n"
        "as_of: yesterday\n"
    )
    found = problems_of(text)
    assert len(found) == 7
    assert found[0].startswith("6:13 axes.backend[0]: 'pytroch' is not known here | did you mean 'pytorch'?")
    assert found[1].startswith("8:1 exlude: unknown key | did you mean 'exclude'? (allowed here: version, axes,")
    assert (
        "10:52 include[0].transformers: 'latst' is not a version or a version rule | write a version (0.18.0)"
        in (found[2])
    )
    assert ".lunch: unknown key | did you mean 'launch'?" in found[3]
    assert found[4].startswith("12:5 exclude[0]: the key 'reason' is missing | Why; shown in the report. write e.g.")
    assert "timeouts.boot.wall: not a duration | write a number with its unit: 90s, 5m or 1h30m" in found[5]
    assert found[6].startswith("14:8 as_of: must be a date like 2026-01-04, not 'yesterday'")


@pytest.mark.parametrize(
    ("addition", "key", "words"),
    [
        ("expect: [{when: {}, verdict: fail/imprt, because: x}]", "expect[0].verdict", "did you mean 'import'?"),
        ("expect: [{when: {}, verdict: fial, because: x}]", "expect[0].verdict", "did you mean 'fail'?"),
        (
            "expect: [{when: {model: canry}, verdict: fail, because: x}]",
            "expect[0].when.model",
            "did you mean 'canary'",
        ),
        ("expect: [{when: {lmdeploy: '>>1'}, verdict: fail, because: x}]", "expect[0].when.lmdeploy", "range"),
        ("requirements: ['numpy=1']", "requirements[0]", "numpy==2.3.5"),
        ("overrides: 'a b'", "overrides", "is not a requirement"),
        ("target: {gpu_memory: 8}", "target.gpu_memory", "8GiB"),
        ("target: {platform: wsl}", "target.platform", "did you mean 'wsl2'?"),
        ("timeouts: {bot: {wall: 5m}}", "timeouts.bot", "did you mean 'boot'?"),
        ("tags: [{name: 'a b', when: {}}]", "tags[0].name", "small letters"),
        ("version: 2", "version", "a second time"),
        ("axes2: {}", "", "did you mean 'axes'?"),
    ],
)
def test_a_mistake_names_its_key_and_what_to_write(addition: str, key: str, words: str) -> None:
    (found,) = problems_of(f"{SMALL}{addition}\n")
    assert f" {key}" in found or key == "version"
    assert words in found


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    (found,) = problems_of(SMALL.replace("canary", "cannary"))
    assert found == "7:10 axes.model: there is no model 'cannary' | did you mean 'canary'? (allowed here: canary, old)"


def test_the_text_of_an_error_is_for_people() -> None:
    with pytest.raises(MatrixError) as caught:
        parsed(SMALL.replace("version: 1", "version: one"))
    text = str(caught.value)
    assert text.startswith("m.yaml:1:10: version: ")
    assert "pydantic" not in text
    assert "Traceback" not in text


PROJECT = """\
[project]
name = "service"

[tool.lmdeploy-harness]
version = 1
as_of = 2026-01-04
axes = { python = 3.10, lmdeploy = ["0.18.0"], transformers = "5.17.0", backend = "pytorch", model = "canary" }

[[tool.lmdeploy-harness.include]]
python = "3.11"
lmdeploy = "0.11.1"
transformers = "4.57.3"
backend = "turbomind"
model = "canary"
launch = "sever"

[tool.ruff]
version = 2
"""


def test_a_matrix_can_stand_in_the_projects_file(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(PROJECT.replace("sever", "server"))
    matrix = load_matrix(file)
    assert matrix.axes is not None
    assert (matrix.axes.python, matrix.axes.lmdeploy) == (("3.10",), ("0.18.0",))
    assert (matrix.as_of, matrix.include[0].lmdeploy) == (date(2026, 1, 4), ("0.11.1",))


def test_mistakes_in_the_projects_file_have_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(PROJECT)
    with pytest.raises(MatrixError) as caught:
        load_matrix(file)
    assert f"{file}:15:1: include[0].launch: 'sever' is not known here" in str(caught.value)
    file.write_text("[project]\nname = 'service'\n")
    with pytest.raises(MatrixError, match=r"no table \[tool.lmdeploy-harness\]"):
        load_matrix(file)

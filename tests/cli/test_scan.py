"""The scan's commands: what they print, and how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from harness.cli.scan import COMMANDS
from tests.scan.miniatures import TABLE, engine, provider, publish, wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

NO_KWARGS = "class ProcessorMixin:\n    pass\n"
LLAMA4 = {"transformers/models/llama4/__init__.py": "class Llama4Config: pass\n"}


@click.group()
def harness() -> None:
    """As the command line mounts them."""


for command in COMMANDS:
    harness.add_command(command)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Run a command against an index of miniatures."""
    index = tmp_path / "index"
    publish(index, "lmdeploy", engine("0.9.0"))
    publish(
        index,
        "transformers",
        provider("4.41.0", processing_utils=NO_KWARGS),
        wheel("transformers", "4.42.0", TABLE | LLAMA4),
    )
    publish(index, "torch", wheel("torch", "2.8.0", {}))

    def call(*arguments: str) -> Result:
        fixed = ["--cache", str(tmp_path / "cache"), "--index-url", index.as_uri()]
        if arguments[0] != "symbol":
            fixed += ["--models", str(tmp_path / "models")]
        return CliRunner().invoke(harness, [*arguments, *fixed])

    return call


def data(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_failing_pair_ends_with_1_and_says_why(run: Callable[..., Result]) -> None:
    result = run("scan", "0.9.0", "4.41.0")
    assert result.exit_code == 1
    assert result.stdout.startswith("fail: lmdeploy 0.9.0 with transformers 4.41.0 for qwen2-vl")
    assert "lmdeploy/vl/model/gemma3.py:1" in result.stdout


def test_a_pair_as_json(run: Callable[..., Result]) -> None:
    result = run("scan", "0.9.0", "4.42.0", "--format", "json")
    assert result.exit_code == 0
    assert data(result)["verdict"] == "pass"
    found = data(run("scan", "0.9.0", "4.41.0", "--format", "json", "--ranges"))
    kwargs = next(f for f in found["findings"] if f["name"].endswith("ImagesKwargs"))
    assert (kwargs["first_version"], kwargs["last_version"]) == ("4.42.0", None)


def test_the_map_is_printed_and_kept_for_the_report(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("scan", "--write", str(tmp_path / "reports"))
    assert result.exit_code == 0, result.output
    assert "0.9.0 x·" in result.stdout
    kept = json.loads((tmp_path / "reports" / "scan.json").read_text())
    assert kept["rows"] == ["0.9.0"]
    assert [cell["prediction"] for cell in kept["cells"][0]] == ["fail", "pass"]


def test_why_not_tells_what_is_left_and_why_no_more(run: Callable[..., Result]) -> None:
    result = run("why-not", "--lmdeploy", "0.9.0")
    assert result.exit_code == 0
    assert "not a deadlock: 1 of 2" in result.stdout
    assert "not older: transformers.processing_utils.ImagesKwargs" in result.stdout
    assert data(run("why-not", "--lmdeploy", "0.9.0", "--format", "json"))["versions"] == ["4.42.0"]


def test_why_not_of_a_deadlock_ends_with_1(run: Callable[..., Result], tmp_path: Path) -> None:
    publish(tmp_path / "index", "gen", wheel("gen", "0.1", {"gen/__init__.py": "from transformers import Gone\n"}))
    result = run("why-not", "--lmdeploy", "0.9.0", "--import", "gen")
    assert result.exit_code == 1
    assert "this is never met" in result.stdout
    assert "gen/__init__.py:1" in result.stdout


def test_suggest_lists_what_remains(run: Callable[..., Result]) -> None:
    assert "lmdeploy 0.9.0: transformers 4.42.0" in run("suggest").stdout
    assert data(run("suggest", "--lmdeploy", "0.9.0", "--format", "json"))[0]["best"] == "4.42.0"


def test_symbol_tells_where_a_name_is(run: Callable[..., Result]) -> None:
    assert run("symbol", "transformers.processing_utils.ImagesKwargs").stdout == (
        "ImagesKwargs: transformers >=4.42.0\n"
    )
    assert run("symbol", "transformers.Nothing").exit_code == 1
    assert run("symbol", "Nothing").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scan", "0.9.0"), "give both versions"),
        (("scan", "0.9.0", "4.99"), "transformers 4.99 is not in the package index"),
        (("scan", "nine", "4.42.0"), "'nine' is not a version of lmdeploy"),
        (("scan", "0.9.0", "4.42.0", "--model", "nothing"), "there is no model 'nothing'"),
        (("why-not", "--lmdeploy", "0.9.7"), "lmdeploy 0.9.7 is not in the package index"),
    ],
)
def test_what_a_user_can_cause_is_told_without_a_traceback(
    run: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_an_index_out_of_reach_is_infrastructure(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        harness, ["scan", "0.9.0", "4.42.0", "--index-url", (tmp_path / "no").as_uri(), "--cache", str(tmp_path / "c")]
    )
    assert result.exit_code == 4
    assert "is not a folder" in result.output


@pytest.mark.parametrize("python", ["abc", "3", "2.7"])
def test_something_else_than_an_interpreter_is_refused(run: Callable[..., Result], python: str) -> None:
    result = run("scan", "0.9.0", "4.42.0", "--python", python)
    assert result.exit_code == 2
    assert f"'{python}' is not a version of Python" in result.output


def test_a_module_that_no_package_brings_is_said_to_be_unknown(run: Callable[..., Result]) -> None:
    result = run("scan", "0.9.0", "4.42.0", "--import", "nowhere")
    assert result.stdout.startswith("warn: ")
    assert "no package that brings nowhere was found" in result.stdout


def test_a_comparison_with_nothing_is_a_mistake(run: Callable[..., Result], tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    pairs.write_text("0.9.0 4.42.0 pytorch qwen2-vl\n")
    result = run("scan-truth", "--compare-only", "--folder", str(tmp_path / "none"), "--pairs", str(pairs))
    assert result.exit_code == 2
    assert "nothing to compare with" in result.output

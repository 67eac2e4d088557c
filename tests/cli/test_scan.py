"""The scan's commands: what they print, and how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from harness.cli.scan import COMMANDS
from harness.scan.answers.requirements import YOURS
from tests.scan.miniatures import ENGINE, TABLE, engine, provider, publish, wheel

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


APP = """
from transformers.processing_utils import ImagesKwargs
import lmdeploy

def serve():
    return lmdeploy.archs.get_model_arch(lmdeploy.gone)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A small project of somebody."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text(APP)
    return tmp_path / "app"


def test_own_code_is_told_where_all_it_imports_is_there(run: Callable[..., Result], app: Path) -> None:
    result = run("scan", "--code", str(app))
    assert result.exit_code == 1
    assert f"lmdeploy.gone is missing in serve(), {app.as_posix()}/main.py:6" in result.stdout
    assert "asks 1 name of transformers" in result.stdout
    assert "everything is there in: 4.42.0" in result.stdout
    only = run("scan", "--code", str(app), "--provider", "transformers", "--format", "json")
    assert only.exit_code == 0
    assert data(only)[0]["complete"] == [["4.42.0", "4.42.0"]]


def test_own_code_with_two_versions_fails_by_file_and_line(run: Callable[..., Result], app: Path) -> None:
    result = run("scan", "0.9.0", "4.41.0", "--code", str(app), "--ranges")
    assert result.exit_code == 1
    missing = f"transformers.processing_utils.ImagesKwargs is missing at import, {app.as_posix()}/main.py:2"
    assert f"{missing}; there in 4.42.0" in result.stdout
    assert run("scan", "--provider", "transformers==4.42.0", "--code", str(app)).exit_code == 0


def test_a_downstream_package_is_read_from_the_index(run: Callable[..., Result], tmp_path: Path) -> None:
    files = {"down/__init__.py": "from transformers.processing_utils import ImagesKwargs\nimport other\n"}
    publish(tmp_path / "index", "down", wheel("down", "1.0", files))
    result = run("scan", "--package", "down==1.0")
    assert result.exit_code == 0
    assert "down 1.0 asks 1 name of transformers" in result.stdout
    assert "ImagesKwargs: 4.42.0; at import, down/__init__.py:1" in result.stdout
    assert run("scan", "--package", "down==2.0").exit_code == 2


def test_any_package_can_be_the_provider_whatever_its_module_is_called(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    publish(
        tmp_path / "index", "opencv-python", wheel("opencv-python", "4.0", {"cv2/__init__.py": "def imread(): ..."})
    )
    (tmp_path / "see.py").write_text("import cv2\ncv2.imread('x')\ncv2.gone\n")
    result = run("scan", "--code", str(tmp_path / "see.py"), "--provider", "opencv-python")
    assert result.exit_code == 1
    assert "cv2.gone is missing at import" in result.stdout
    nothing = run("scan", "--code", str(tmp_path / "see.py"))
    assert nothing.exit_code == 0
    assert "imports nothing of lmdeploy or transformers\nit imports besides: cv2" in nothing.stdout


def test_why_not_takes_own_code_into_account(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from transformers import LlamaConfig, Gone\n")
    result = run("why-not", "--lmdeploy", "0.9.0", "--code", str(tmp_path / "app.py"))
    assert result.exit_code == 1
    assert f"({YOURS}, {tmp_path / 'app.py'}:1)" in result.stdout
    (tmp_path / "app.py").write_text("import lmdeploy.nowhere\n")
    result = run("why-not", "--lmdeploy", "0.9.0", "--code", str(tmp_path / "app.py"))
    assert "this is never met:\n  lmdeploy.nowhere" in result.stdout


def test_suggest_lists_what_remains(run: Callable[..., Result]) -> None:
    assert "lmdeploy 0.9.0: transformers 4.42.0" in run("suggest").stdout
    told = data(run("suggest", "--lmdeploy", "0.9.0", "--format", "json"))
    assert told["predictions"][0]["best"] == "4.42.0"
    assert told["answer"] is None


def test_releases_without_an_answer_are_one_line(run: Callable[..., Result], tmp_path: Path) -> None:
    broken = {"lmdeploy/vl/model/gemma3.py": "from transformers import Gone\n"}
    publish(
        tmp_path / "index", "lmdeploy", *(wheel("lmdeploy", v, ENGINE | broken) for v in ("0.7.0", "0.7.1", "0.8.0"))
    )
    lines = run("suggest").stdout.splitlines()
    assert [line for line in lines if "no transformers version remains" in line] == [lines[-1]]
    assert lines[-1].startswith("lmdeploy 0.7.0 to 0.8.0, 3 releases: ")


def test_why_not_advises_other_backends_than_the_one_that_was_asked_for(run: Callable[..., Result]) -> None:
    result = run("why-not", "--lmdeploy", "0.9.0", "--backend", "turbomind")
    assert result.exit_code == 1, result.stdout
    assert "another engine or release may: --backend pytorch or --backend transformers, or" in result.stdout


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
        (("scan", "--provider", "torch"), "--provider is asked for code"),
        (("scan", "--code", ".", "--provider", "torch=1"), "--provider 'torch=1' is not a requirement"),
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


@pytest.mark.parametrize("python", ["abc", "3", "2.7", "3.1"])
def test_something_else_than_an_interpreter_is_refused(run: Callable[..., Result], python: str) -> None:
    result = run("scan", "0.9.0", "4.42.0", "--python", python)
    assert result.exit_code == 2
    assert "is not a python version" in result.output or "there is no python 3.1 to test on" in result.output


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

"""``lmdeploy-harness explain``: any log in, text, JSON or Markdown out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from harness.cli.explain import catalogue, explain

if TYPE_CHECKING:
    from pathlib import Path

LOG = "ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils' (/v/x.py)\n"
PYLOCK = 'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "transformers"\nversion = "4.38.2"\n'


def run(*arguments: str, text: str | bytes = LOG) -> tuple[int, str]:
    result = CliRunner().invoke(explain, ["--offline", *arguments], input=text)
    return result.exit_code, result.output


def test_json_names_family_signature_captures_and_remedy() -> None:
    code, output = run("-", "--format", "json")
    answer = json.loads(output)
    assert code == 0
    assert answer["family"] == "symbol-removed-or-not-yet-added"
    assert answer["signature"] == "transformers-processing-kwargs"
    assert answer["captures"] == {"provider": "transformers.processing_utils", "symbol": "ImagesKwargs"}
    assert "4.42.0" in answer["remedy"]
    assert answer["line"] == LOG.strip()
    assert answer["line_number"] == 1
    assert 0.9 < answer["confidence"] <= 1


def test_text_says_what_to_do() -> None:
    code, output = run("-")
    assert code == 0
    assert "remedy     Install transformers>=4.42.0" in output


def test_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "serve.log"
    path.write_text(LOG, "utf-8")
    assert "ImagesKwargs" in run(str(path))[1]


@pytest.mark.parametrize(("name", "text"), [("pylock.toml", PYLOCK), ("freeze.txt", "# x\ntransformers==4.38.2\n")])
def test_the_stack_is_taken_into_account(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    module = "ModuleNotFoundError: No module named 'transformers.models.mllama'\n"
    assert "transformers 4.38.2" in run("-", "--stack", str(path), text=module)[1]


@pytest.mark.parametrize(
    ("name", "text"), [("pylock.toml", "packages = 3"), ("pylock.toml", "["), ("freeze.txt", ""), ("f.txt", "a b==1\n")]
)
def test_a_bad_stack_is_a_usage_error(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    code, output = run("-", "--stack", str(path))
    assert code == 2
    assert name in output
    assert "Traceback" not in output


@pytest.mark.parametrize("arguments", [("missing.log",), (".",), ("-", "--format", "xml"), ()])
def test_bad_usage_exits_with_two(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_noise_is_shown_as_ignored() -> None:
    code, output = run("-", "--format", "json", text="Using 'pin_memory=False' as WSL is detected.\n")
    answer = json.loads(output)
    assert code == 0
    assert answer["failure"] is False
    assert answer["family"] is None
    assert answer["signature"] is None
    assert answer["noise"][0]["signature"] == "wsl-pin-memory-warning"


def test_an_unknown_failure_gets_a_proposal_if_one_is_asked_for() -> None:
    answer = json.loads(run("-", "--propose", "--format", "json", text="ValueError: zork 7 gnusto 9\n")[1])
    assert answer["family"] == "unknown"
    assert answer["signature"] is None
    assert "zork .{1,80} gnusto .{1,80}" in answer["proposal"]["signature"]


def test_a_guess_says_that_it_is_one() -> None:
    answer = json.loads(run("-", "--format", "json", text="ValueError: the tokenizer is sulking\n")[1])
    assert answer["guess"] is True
    assert answer["confidence"] < 0.5


def test_markdown_cannot_be_broken_out_of() -> None:
    output = run("-", "--format", "markdown", text="ImportError: cannot import name 'X' from 'y' ``` <script>\n")[1]
    assert "````text" in output
    output = run("-", "--format", "markdown", text="ModuleNotFoundError: No module named 'a.b'\n")[1]
    assert output.startswith("**a.b is not in the installed a**")


def test_secrets_and_control_characters_are_not_repeated() -> None:
    line = "huggingface_hub.errors.GatedRepoError: 403 Client Error for hf_abcdefghijklmnopqrstuvwxyz \x07 model\n"
    output = run("-", text=line)[1]
    assert "hf_abc" not in output
    assert "\x07" not in output


def test_the_catalogue_commands_report_health(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text("- {id: a, family: hub-network, benign: false, excerpt: x, exception: y}\n", "utf-8")
    result = CliRunner().invoke(catalogue, ["health", "--cases", str(cases)])
    assert result.exit_code == 0, result.output
    assert "sound" in result.output
    assert "missed a: unknown" in result.output
    cases.write_text("3", "utf-8")
    assert CliRunner().invoke(catalogue, ["health", "--cases", str(cases)]).exit_code == 2

"""Nothing that is printed is obeyed, by a terminal or by the runner of a CI system."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.markup import escape
from rich.table import Table

from harness.cli.console import InertStream, inert_output, make_console
from harness.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = {
    "a title": "\x1b]0;mine\x07",
    "a link": "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "the clipboard": "\x1b]52;c;bWluZQ==\x07",
    "a line above": "\x1b[1A\x1b[2Kpass",
    "the same in one byte": "\x9b1A\x9b2Kpass",
    "a device's string": "\x90q\x9c",
    "what was written before": "fail\rpass",
    "letters gone": "fail\b\b\b\bpass",
    "the other direction": "\u202esserp\u202c\u2066x\u2069\u200f",
    "a command": "::error title=mine::x",
    "a command further in": "  \t::set-output name=a::b",
    "a command of before": "x ##[add-path]/tmp",
    "a command of others": "##vso[task.setvariable variable=a]b",
}
OBEYED = ("\x1b", "\x07", "\x08", "\r", "\x90", "\x9b", "\x9c", "\u202e", "\u2066", "\u200f", "##[", "##vso[")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("way", ["echo", "in pieces", "rich", "a table"])
def test_hostile_text_is_shown_and_not_obeyed(text: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with inert_output():
        if way == "echo":
            click.echo(f"before\n{text}")
        elif way == "in pieces":
            for letter in f"before\n{text}\n":
                click.echo(letter, nl=False)
        elif way == "rich":
            make_console().print(f"before\n{escape(text)}")
        else:
            table = Table(box=None, pad_edge=False)
            table.add_column("[bold]x[/]")
            table.add_row(escape(text))
            make_console().print(table)
    shown = out.getvalue()
    assert not [each for each in OBEYED if each in shown], ascii(shown)
    assert not [line for line in shown.splitlines() if line.lstrip().startswith("::")], shown
    assert way == "a table" or "mine" not in text or "mine" in shown  # a cell is cut to its column


@given(st.lists(st.text(alphabet=":a \n\t[#"), max_size=12))
def test_however_text_is_cut_no_line_of_it_begins_a_command(pieces: list[str]) -> None:
    out = io.StringIO()
    stream = InertStream(out)
    for each in pieces:
        stream.write(each)
    assert not [line for line in out.getvalue().split("\n") if line.strip().startswith("::")]
    assert out.getvalue().replace("⟨⟩", "") == "".join(pieces)


def test_a_terminal_still_has_its_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with inert_output():
        make_console().print("[red]red[/]")
    assert out.getvalue() == "\x1b[31mred\x1b[0m\n"


def test_a_record_with_other_letters_is_printed_where_there_is_only_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bytes_out, encoding="ascii"))
    with inert_output():
        click.echo("mañana")
        make_console().print("→ \udce9")
        sys.stdout.flush()
    assert bytes_out.getvalue() == b"ma\\xf1ana\n\\u2192 \\u27e8U+DCE9\\u27e9\n"


def test_commands_print_through_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text("ImportError: cannot import name 'x\x1b]0;mine\x07' from 'transformers' (\u202e)\n")
    with pytest.raises(SystemExit):
        main(["explain", "--offline", str(log)])
    said = capsys.readouterr()
    assert "transformers" in said.out
    assert "\x1b" not in said.out + said.err

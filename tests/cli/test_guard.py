"""What a user can cause ends with one message and the exit code of its class, without a traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from harness.bisect.search import NothingTurns
from harness.bisect.trial import TrialBroken
from harness.bundle.carry import WheelUnavailable
from harness.bundle.merge import NotResults
from harness.cli.guard import guarded
from harness.core.errors import RunBroken
from harness.environments.lock import InvalidLock
from harness.gate.change import UnusableChange
from harness.index.download import IndexUnavailable
from harness.pin.verify import NoPin
from harness.scan.sources.release import NoSuchRelease
from tests import ROOT


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NothingTurns("same"), 1, "harness: same\n"),
        (UnusableChange("no bump"), 2, "harness: no bump\n"),
        (InvalidLock("no lock"), 2, "harness: no lock\n"),
        (NotResults("no results"), 2, "harness: no results\n"),
        (NoPin("no pin"), 2, "harness: no pin\n"),
        (NoSuchRelease("no release"), 2, "harness: no release\n"),
        (WheelUnavailable("404"), 4, "harness: 404\n"),
        (IndexUnavailable("down"), 4, "harness: down\n"),
        (TrialBroken("no disk"), 4, "harness: no disk; what was tried is kept, run again to continue\n"),
        (RunBroken("no disk"), 4, "harness: no disk\nwhat was finished is kept; run again to continue\n"),
        (OSError(28, "No space left"), 4, "harness: [Errno 28] No space left\nwhat was finished is kept; run again"),
        (OSError(30, "Read-only file system"), 4, "harness: [Errno 30] Read-only file system\nnothing can be written"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_an_error_ends_with_the_code_of_its_class(error: Exception, code: int, said: str) -> None:
    @click.command()
    @guarded
    def fails() -> int:
        raise error

    result = CliRunner().invoke(fails)
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert result.stdout == ""


@pytest.mark.parametrize("say", ["click.echo", "make_console().print"])
def test_a_reader_that_has_seen_enough_is_told_nothing(say: str) -> None:
    lines = "import click\nfrom harness.cli.guard import guarded\nfrom harness.cli.console import make_console\n"
    lines += f"@click.command()\n@guarded\ndef c():\n    for n in range(100000): {say}('line')\nc()\n"
    shell = f"{shlex.quote(sys.executable)} -c {shlex.quote(lines)} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "line\n", "")

"""The ``lmdeploy-harness`` program, also ``python -m harness``."""

from __future__ import annotations

import io
import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends it without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a command that has something to clear up takes it back
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in {"utf-8", "utf8"}:
            stream.reconfigure(errors="replace")  # a console that has no arrow shows a question mark
    from harness.cli.main import main as command_line  # noqa: PLC0415 - loading takes the time that is meant

    command_line(prog_name="lmdeploy-harness")


if __name__ == "__main__":
    main()

"""What commands print is inert: no terminal and no CI system obeys what a package, a model or a record put into it.

Everything a command prints passes one of two streams here. Text with colours comes from rich, which makes its own
escape codes after the text was made visible (:func:`harness.cli.console.make_console`).
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from harness.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMAND = re.compile(r"(^\s*:(?=:)|##\w{0,40}(?=\[))", re.MULTILINE)
"""What the runners of CI systems obey: GitHub's at the beginning of a line, others' anywhere."""
_APART = "⟨⟩"
_REMEMBERED = 60
"""Letters at a line's end that can still become a command with what follows."""


class InertStream:
    """A text stream for what comes from anywhere."""

    def __init__(self, stream: TextIO, *, coloured: bool = False) -> None:
        self.unfiltered = stream
        self._coloured = coloured
        """The text may hold escape codes: somebody else sees to those."""
        self._line = ""
        """The current line, or its end."""

    def write(self, text: str) -> int:
        """Write ``text`` with everything that would be obeyed made visible."""
        if not isinstance(text, str):
            raise TypeError("this is a stream of text")  # some ask by trying
        shown = text if self._coloured else visible(text)
        whole = _COMMAND.sub(rf"\1{_APART}", self._line + shown)
        self.unfiltered.write(whole[len(self._line) :])
        line = whole.rpartition("\n")[2].lstrip()
        self._line = line if len(line) <= _REMEMBERED else f"…{line[-_REMEMBERED:]}"
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self.unfiltered.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream below has
        if name in {"buffer", "raw", "detach"}:
            raise AttributeError(name)  # what is written there passes nobody
        return getattr(self.unfiltered, name)


def unfiltered(stream: IO[str]) -> TextIO:
    """The stream below, for what the harness itself means to be obeyed."""
    below: Any = getattr(stream, "unfiltered", stream)
    return cast("TextIO", below)


@contextmanager
def inert_output() -> Iterator[None]:
    """Let everything that is printed be inert, and printable: where the encoding lacks a character, by its number."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = InertStream(before[0]), InertStream(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before

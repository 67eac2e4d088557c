"""What commands print is inert: no terminal and no CI system obeys what a package, a model or a record put into it.

Everything a command prints passes one of two streams here. Text with colours comes from rich, which makes its own
escape codes after the text was made visible (:func:`make_console`).
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.segment import Segment

from harness.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import ConsoleOptions, RenderableType

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


class InertConsole(Console):
    """A console that obeys its own styles and nothing that stands in the texts."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of anything, their texts made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave it to the command's own ending, which knows what the exit code means."""
        raise BrokenPipeError


def make_console(*, stderr: bool = False) -> Console:
    """A console that colours only where colours are wanted; no line is broken when the output is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    width = None if terminal else 200
    file = cast("TextIO", InertStream(unfiltered(stream), coloured=True))
    return InertConsole(file=file, width=width, soft_wrap=not terminal, highlight=False, emoji=False)

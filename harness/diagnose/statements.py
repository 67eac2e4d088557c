"""What a log says went wrong: exceptions with their frames and chains, and single lines that complain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from harness.core.records import FrameRecord
from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.diagnose.lines import Line

LONGEST = 4000
"""Characters of a statement that are kept."""
_MESSAGE_LINES = 14
_BLOCK_LINES = 60
_TRACEBACK = "Traceback (most recent call last)"
_CHAIN = text_pattern(
    "(?i)the above exception was the direct cause of the following|"
    "during handling of the above exception, another exception occurred"
)
_FRAME = text_pattern(r'^\s*(?:[│|]\s*)?File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
_NOTEBOOK_FRAME = text_pattern(r"^\s*File (?P<file>\S+\.py):(?P<line>\d+)(?:, in (?P<function>[^(]+))?")
_RICH_FRAME = text_pattern(r"^\s*(?P<file>/\S+\.py):(?P<line>\d+) in (?P<function>\w+)")
_NAME = (
    r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*"
    r"(?:Error|Exception|Warning|Exit|Interrupt|Timeout|NotFound|Failure|Fault|Refused|Denied|Unavailable)\w*"
)
_EXCEPTION = text_pattern(rf"^[\s*`]*(?P<type>{_NAME})(?::\s(?P<message>.*)|:?[\s*`]*$)")
_INLINE = text_pattern(rf"(?:^|[^\w.])(?P<type>{_NAME}): (?P<message>\S.*)")
_ANY_EXCEPTION = text_pattern(r"^\s*(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::\s(?P<message>.*)|:?\s*$)")
_REFUSED = text_pattern(r'" [45]\d\d\b|(?i)fall ?back')
_TIMESTAMP = text_pattern(r"^[\[(]?(?:[A-Z][a-z]+ \d+|\d{4}-\d\d-\d\d)?[T ]?\d{1,2}:\d\d:\d\d[.,\d]*[Z)\]]?$")
_CARETS = text_pattern(r"^[\s~^.]+$")
_ENVIRONMENT = text_pattern(r"^.*(?:site-packages|dist-packages)[/\\]")
_COMPLAINT = text_pattern(r"(?i)^\W*(?:\w+ )?(?:fatal |internal |server )?(?:error|exception)\b\s*:|^Killed\b")
_BLOCK_START = text_pattern(
    r"(?i)no solution found|the conflict is caused by|^\s*cause: because|^\s*because |requirements are unsatisfiable"
)


class Severity(IntEnum):
    """How loudly something was said."""

    QUIET = 1
    """A warning or information line."""
    PLAIN = 2
    """A line without a level and without an exception's name."""
    LOUD = 3
    """An exception or an error line."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that was said to be wrong."""

    text: str
    """``Type: message`` or the line, on one line with single blanks."""
    line: str
    """The line to show a person."""
    number: int | None = None
    """Its line number in the log, from 1; None when it did not come from a log."""
    type: str | None = None
    """Exception type as printed."""
    frames: tuple[FrameRecord, ...] = ()
    severity: Severity = Severity.LOUD
    group: int = 0
    """Exceptions of one printed chain share a group; groups are numbered in the order they were printed."""
    depth: int = 0
    """Place in its chain: 0 is the root cause."""


@dataclass(slots=True)
class _Open:
    """An exception being read."""

    number: int
    frames: list[FrameRecord] = field(default_factory=list)
    frame_indent: int = 0
    type: str | None = None
    message: list[str] = field(default_factory=list)
    raw: str = ""
    level: str | None = None
    in_message: bool = False


def read_statements(lines: Iterable[Line]) -> list[Statement]:
    """All statements of a log, in the order they were printed.

    Lines of different processes that were printed in turns are read as if each had a log of its own.
    """
    readers: dict[str, _Reader] = defaultdict(_Reader)
    blocks = _Blocks()
    for line in lines:
        readers[line.origin].read(line)
        blocks.read(line)
    found = [item for reader in readers.values() for item in reader.finished()]
    return _numbered([*found, *blocks.finished()])


def one_line(text: str) -> str:
    """The text on one line with single blanks, bounded."""
    return " ".join(text[: 2 * LONGEST].split())[:LONGEST]


def statement_text(kind: str, message: str, frames: Sequence[FrameRecord]) -> str:
    """``Type: message``; where that says little, followed by ``<-`` and the source line that raised it."""
    text = one_line(f"{kind}: {message}")
    if frames and frames[-1].text and (not message.strip() or "NoneType" in message or kind.endswith("KeyError")):
        text = f"{text} <- {frames[-1].text}"
    return text


def relative(path: str) -> str:
    """A frame's file without the environment's folder."""
    match = _ENVIRONMENT.match(path)
    return (path[match.end() :] if match else path).replace("\\", "/")


@dataclass(slots=True)
class _Found:
    statement: Statement
    chained: bool
    """Whether it follows the previous one of its process in a printed chain."""
    reader: int


def _numbered(found: list[_Found]) -> list[Statement]:
    """Give groups and depths; drop what was said before in the same words."""
    found.sort(key=lambda item: item.statement.number or 0)
    latest: dict[int, tuple[int, int]] = {}
    seen: set[tuple[str, bool]] = set()
    result: list[Statement] = []
    group = -1
    for item in found:
        statement = item.statement
        if item.chained and item.reader in latest:
            number, depth = latest[item.reader][0], latest[item.reader][1] + 1
        else:
            group += 1
            number, depth = group, 0
        if statement.type is not None:
            latest[item.reader] = (number, depth)
        key = (statement.text, bool(statement.frames))
        if key in seen:
            continue
        seen.add(key)
        result.append(
            Statement(
                statement.text, statement.line, statement.number, statement.type, statement.frames,
                statement.severity, number, depth,
            )
        )  # fmt: skip
    return result


class _Reader:
    """Reads the lines of one process."""

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._chained = False
        self._found: list[_Found] = []
        self._last = 0

    def read(self, line: Line) -> None:
        """Take the next line."""
        if line.number > self._last + 1:
            self._close()
        self._last = line.number
        if _TRACEBACK in line.text:
            self._close()
            self._open = _Open(line.number, level=line.level)
        elif _CHAIN.search(line.text):
            self._close()
            self._chained = True
        elif frame := _frame(line.text):
            self._read_frame(line, frame)
        elif self._open is None:
            self._read_loose(line)
        elif self._open.in_message:
            self._read_message(line)
        else:
            self._read_code(line)

    def finished(self) -> list[_Found]:
        """What was found, after the last line."""
        self._close()
        return self._found

    def _read_frame(self, line: Line, frame: FrameRecord) -> None:
        if self._open is None or self._open.in_message:
            self._close()
            self._open = _Open(line.number, level=line.level)
        self._open.frames.append(frame)
        self._open.frame_indent = line.indent

    def _read_code(self, line: Line) -> None:
        """A line after a frame: its source, or the exception itself."""
        state = self._open
        text = line.text.strip()
        if state is None or not text or _CARETS.match(text) or _TIMESTAMP.match(text):
            return
        exception = _EXCEPTION.match(line.text)
        if exception is None and line.indent >= state.frame_indent and state.frame_indent:
            self._attach_source(state, line)
            return
        if exception is None and state.frames and not state.frames[-1].text and not state.frame_indent:
            self._attach_source(state, line)  # an excerpt that lost its indentation
            return
        exception = exception or _ANY_EXCEPTION.match(line.text)
        if exception is None:
            self._close()
            self._read_loose(line)
            return
        state.type = exception.group("type")
        state.message = [exception.group("message") or ""]
        state.raw, state.number, state.in_message = line.raw, line.number, True
        state.level = line.level or state.level

    @staticmethod
    def _attach_source(state: _Open, line: Line) -> None:
        if state.frames and not state.frames[-1].text:
            state.frames[-1] = state.frames[-1].model_copy(update={"text": line.text.strip()})

    def _read_message(self, line: Line) -> None:
        """A line after ``Type: message``: more of the message, or something new."""
        state = self._open
        if state is None:
            return
        blank = not line.text.strip()
        more = len(state.message) < _MESSAGE_LINES and not (line.level and line.level != state.level)
        if blank and not any(part.strip() for part in state.message):
            state.message.append("")
        elif blank or not more or _EXCEPTION.match(line.text):
            self._close()
            if not blank:
                self._read_loose(line)
        else:
            state.message.append(line.text)
            self._found.append(_Found(_loose(line), chained=False, reader=id(self)))

    def _read_loose(self, line: Line) -> None:
        exception = _EXCEPTION.match(line.text)
        if exception is not None:
            self._open = _Open(line.number, level=line.level, type=exception.group("type"), in_message=True)
            self._open.message, self._open.raw = [exception.group("message") or ""], line.raw
        elif line.text.strip() and _worth_keeping(line):
            self._found.append(_Found(_loose(line), chained=False, reader=id(self)))

    def _close(self) -> None:
        state, self._open = self._open, None
        if state is None:
            return
        chained, self._chained = self._chained, False
        if state.type is None:
            if state.frames:  # a traceback that was cut off before its last line
                last = state.frames[-1]
                text = f"{last.file}:{last.function}: {last.text}"
                self._found.append(
                    _Found(Statement(text, last.text, state.number, None, tuple(state.frames)), chained, id(self))
                )
            return
        statement = Statement(
            statement_text(state.type, " ".join(state.message), state.frames),
            state.raw,
            state.number,
            state.type,
            tuple(state.frames),
            _severity(state),
        )
        self._found.append(_Found(statement, chained, id(self)))


def _severity(state: _Open) -> Severity:
    warning = (state.type or "").endswith("Warning")
    quiet = not state.frames and state.level in {"WARNING", "WARN", "INFO", "DEBUG"}
    return Severity.QUIET if warning or quiet else Severity.LOUD


def _frame(text: str) -> FrameRecord | None:
    if "File " not in text and " in " not in text:
        return None
    match = _FRAME.match(text) or _NOTEBOOK_FRAME.match(text) or _RICH_FRAME.match(text)
    if match is None:
        return None
    return FrameRecord(
        file=relative(match.group("file") or ""),
        line=min(int((match.group("line") or "0")[:9]), 10**9),
        function=(match.group("function") or "").strip(),
    )


def _worth_keeping(line: Line) -> bool:
    """Whether a line that is no exception can say that something went wrong."""
    if line.level in {"TRACE", "DEBUG"}:
        return False
    if line.level in {"INFO", "NOTICE"}:
        return _REFUSED.search(line.text) is not None or _INLINE.search(line.text) is not None
    return True


def _loose(line: Line) -> Statement:
    match = _INLINE.search(line.text)
    kind = match.group("type") if match else None
    if line.quiet or (kind or "").endswith("Warning"):
        severity = Severity.QUIET
    else:
        severity = Severity.LOUD if kind or line.level or _COMPLAINT.search(line.text) else Severity.PLAIN
    return Statement(one_line(line.text), line.raw[:LONGEST], line.number, kind, (), severity)


class _Blocks:
    """Resolver explanations, which run over several lines and are wrapped at the terminal's width."""

    def __init__(self) -> None:
        self._parts: list[Line] = []
        self._found: list[_Found] = []

    def read(self, line: Line) -> None:
        """Take the next line."""
        if self._parts:
            if line.text.strip() and len(self._parts) < _BLOCK_LINES:
                self._parts.append(line)
                return
            self._close()
        if _BLOCK_START.search(line.text):
            self._parts = [line]

    def finished(self) -> Iterator[_Found]:
        """What was found, after the last line."""
        self._close()
        return iter(self._found)

    def _close(self) -> None:
        if len(self._parts) > 1:
            first = self._parts[0]
            text = one_line(" ".join(part.text for part in self._parts))
            self._found.append(_Found(Statement(text, first.raw, first.number), False, -1))
        self._parts = []

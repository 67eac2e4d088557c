"""What a log says went wrong: exceptions with their frames and chains, and single lines that complain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.diagnose.frames import read_frame
from harness.diagnose.patterns import text_pattern
from harness.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.core.records import FrameRecord
    from harness.diagnose.lines import Line

LONGEST = 4000
"""Characters of a statement that are kept."""
_MESSAGE_LINES = 14
_BLOCK_LINES = 60
_HEADINGS = 2
_NEWEST_FIRST = 4
"""Lines between an exception and the first frame of its traceback, where that follows it."""
_TRACEBACK = "Traceback (most recent call last)"
_CHAIN = text_pattern(
    "(?i)the above exception was the direct cause of the following|"
    "during handling of the above exception, another exception occurred"
)
_NAME = (
    r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*"
    r"(?:Error|Exception|Warning|Exit|Interrupt|Timeout|NotFound|Failure|Fault|Refused|Denied|Unavailable)\w*"
)
_EXCEPTION = text_pattern(rf"^[\s*`]*(?P<type>{_NAME})(?::\s(?P<message>.*)|:?[\s*`]*$)")
_INLINE = text_pattern(rf"(?:^|[^\w.])(?P<type>{_NAME}): (?P<message>\S.*)")
_ANY_EXCEPTION = text_pattern(r"^\s*(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::\s(?P<message>.*)|:?\s*$)")
_TOLD = text_pattern(r"[A-Za-z]\w+\W+(?:\w+\W+)*?[A-Za-z]\w+")
_REFUSED = text_pattern(r'" [45]\d\d\b|(?i)fall ?back')
_TIMESTAMP = text_pattern(r"^[\[(]?(?:[A-Z][a-z]+ \d+|\d{4}-\d\d-\d\d)?[T ]?\d{1,2}:\d\d:\d\d[.,\d]*[Z)\]]?$")
_CARETS = text_pattern(r"^[\s~^.]+$")
_ENDED = text_pattern(r"^(?:Aborted|Killed|Segmentation fault|Bus error|Terminated)\b")
"""What a shell says of a process that ended; no part of the last message."""
_COMPLAINT = text_pattern(r"(?i)^\W*(?:\w+ )?(?:fatal |internal |server )?(?:error|exception)\b\s*:|^Killed\b")
_NATIVE = text_pattern(
    "".join(f"{engine.error_line}|" for engine in ENGINES.values() if engine.error_line)
    + r"^\s*what\(\): |\bCheck failed: |\bAssertion (?:fail: |.{1,200} failed)|"
    r"\bfatal error(?: \w+)?: |\bld(?:\.\w+)?: (?:cannot|error)|\bNCCL (?:error|WARN)|^\s*panicked at |"
    r"\bCUDA (?:runtime |driver )?error\b|-cli: \w+(?: \w+)? error: |\b(?:nvcc|ptxas|nvlink) (?:fatal|error) +: "
)
"""What compilers, linkers, CUDA, NCCL, containers and an engine's compiled code say where Python raises."""
_SOURCE_LINE = text_pattern(
    r"^\s+(?:raise\b|return\b|from [\w.]+ import\b|import [\w.]+$|def |class |if .*:$|for .*:$|with .*:$|assert |"
    r"await |[\w.\[\]]+(?:, [\w.]+)* = \S|\w[\w.]*\($)|\{self\.|\{type\(self\)"
)
"""A line of source that was printed beside a message, where a traceback is printed newest first."""
_BLOCK_START = text_pattern(
    r"(?i)no solution found|the conflict is caused by|^\s*cause: because|^\s*because |requirements are unsatisfiable|"
    r"encountered problems while solving|packages are incompatible|following specifications were found|"
    r"packages are not available from current"
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
    native: bool = False
    """Said by compiled code, a compiler, a linker or an installer to be what stopped it."""
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
    latest = ""
    for line in lines:
        if line.origin or line.level or not readers[latest].goes_on(line):
            latest = line.origin
        readers[latest].read(line)
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
                statement.severity, statement.native, number, depth,
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
            before = line.text.partition(_TRACEBACK)[0]
            if _TOLD.search(before):  # a logger that puts the traceback behind its message
                self._read_loose(replace(line, text=before.rstrip(" ,:-")))
                self._close()
            self._open = _Open(line.number, level=line.level)
        elif _CHAIN.search(line.text):
            self._close()
            self._chained = True
        elif frame := read_frame(line.text):
            self._read_frame(line, frame)
        elif self._open is None:
            self._read_loose(line)
        elif self._open.in_message:
            self._read_message(line)
        else:
            self._read_code(line)

    def goes_on(self, line: Line) -> bool:
        """Whether a line without a prefix is the rest of a message that was cut at a width."""
        state = self._open
        if state is None or not state.in_message or line.number != self._last + 1 or line.indent:
            return False
        return state.message[-1][-1:].isalnum() and line.text[:1].islower()

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
        elif blank or not more or _EXCEPTION.match(line.text) or _ENDED.match(line.text):
            self._close()
            if not blank:
                self._read_loose(line)
        elif not _SOURCE_LINE.search(line.text):
            state.message.append(line.text)
            self._found.append(_Found(_loose(line), chained=False, reader=id(self)))

    def _read_loose(self, line: Line) -> None:
        exception = _EXCEPTION.match(line.text)
        if exception is not None:
            self._open = _Open(line.number, level=line.level, type=exception.group("type"), in_message=True)
            self._open.message, self._open.raw = [exception.group("message") or ""], line.raw
        elif line.text.strip() and _worth_keeping(line) and not _SOURCE_LINE.search(line.text):
            self._found += [_Found(said, chained=False, reader=id(self)) for said in _said_on(line)]

    def _close(self) -> None:
        state, self._open = self._open, None
        if state is None:
            return
        chained, self._chained = self._chained, False
        if state.type is None:
            if state.frames and self._raised_before(state):
                return
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
        if glued := _glued(state.message):
            text = statement_text(state.type, glued, state.frames)
            self._found.append(_Found(replace(statement, text=text), chained=True, reader=id(self)))

    def _raised_before(self, state: _Open) -> bool:
        """Whether an exception stood right above its frames: a traceback printed newest first."""
        last = next((item for item in reversed(self._found) if item.statement.type is not None), None)
        if last is None or last.statement.frames or not last.statement.number:
            return False
        if state.number - last.statement.number > _NEWEST_FIRST:
            return False
        last.statement = replace(last.statement, frames=tuple(reversed(state.frames)))
        return True


def _glued(message: Sequence[str]) -> str:
    """The message as it was before something broke its lines at a width, in the middle of words; else nothing."""
    lines = [line for line in message if line.strip()]
    pairs = list(pairwise(lines))
    if not any(before[-1:].isalnum() and after[:1].isalnum() and after[:1].islower() for before, after in pairs):
        return ""
    return "".join(lines)


def _severity(state: _Open) -> Severity:
    warning = (state.type or "").endswith("Warning")
    quiet = not state.frames and state.level in {"WARNING", "WARN", "INFO", "DEBUG"}
    return Severity.QUIET if warning or quiet else Severity.LOUD


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
        complains = kind or line.level or _COMPLAINT.search(line.text) or _NATIVE.search(line.text)
        severity = Severity.LOUD if complains else Severity.PLAIN
    native = severity is not Severity.QUIET and _NATIVE.search(line.text) is not None
    return Statement(one_line(line.text), line.raw[:LONGEST], line.number, kind, (), severity, native)


def _said_on(line: Line) -> list[Statement]:
    """The line, and the exception in it where other words stand before: what was raised counts for more than they."""
    whole = _loose(line)
    match = _INLINE.search(line.text) if whole.type and whole.severity is not Severity.QUIET else None
    if match is None or not _TOLD.search(line.text[: match.start(1)]):
        return [whole]
    raised = replace(whole, text=one_line(line.text[match.start(1) :]))
    return [raised, replace(whole, type=None, severity=Severity.PLAIN)]


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
            if len(self._parts) <= _HEADINGS and line.number <= self._parts[-1].number + 1:
                return  # conda leaves lines free between its headings and what they say
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

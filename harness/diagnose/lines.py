"""Log lines as they were before loggers, containers, test runners and web pages wrapped them.

A line's prefixes (timestamps, levels, process tags, quotation marks, box drawings) are taken off one after another
and remembered as far as they say something: the level, and which process wrote it.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.diagnose.stream import Window

LONGEST = 8000
"""Characters of a line that are looked at."""
_MOST_PREFIXES = 7
_HIDDEN_BREAKS = 3
_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|SEVERE"
_TIME = r"\d{1,2}:\d\d:\d\d(?:[.,]\d+)?"
_DATE = r"(?:\d{4}[-/])?\d\d[-/]\d\d"
_PREFIX = text_pattern("|".join((
    r"(?:>\s?)+",  # a quotation, a Python prompt, pytest's arrow
    r"\((?:[A-Za-z_][\w.-]* )?(?:pid|rank|ip|worker)=[^)]{1,120}\)(?: \[repeated[^\]]*\])? ?",
    r"\((?:raylet|autoscaler|[A-Z]\w+ pid=[^)]*)[^)]*\) ?",
    r"\[(?:rank ?\d+|pod/[^\]]+|\d+/\d+|\w*[Ww]orker[-_ ]?\d*|(?:TP|DP|PP|EP)\d+)\]:? ?",
    r"\[[EWIFV]\d{0,4} [^\]]{1,120}\] ?",
    r"[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w./-]+:\d+\] ?",
    rf"\[?{_DATE}[T ]{_TIME}(?:Z|[+-]\d\d:?\d\d| UTC)?(?: (?:TP|DP|PP|EP)\d+[^\]]*)?\]?(?:\s?[-|,:] | |\s*$)",
    rf"\[?{_TIME}\]?(?:\s?[-|] | )",
    rf"[A-Z][a-z]{{2}} +\d+ {_TIME} \S+ [\w./-]+(?:\[\d+\])?: ",
    rf"(?:[a-z][\w.-]* - )?\[?(?:{_LEVELS}|warning|error)\]?(?: *: | *\| | +- | +|:?\s*$)",
    r"\[?[\w./<>\\:-]+\.(?:py|cc|cpp|cu|rs|hpp|h):\d+(?::\d+)?\]?:?(?: - | )",
    r"[\w.]+:[\w.<>]+:\d+ - ",
    r"(?:stderr|stdout)(?: [FP])?(?: \|)?:? ",
    r"##\[error\]|::error[^:]*::",
    r"E {3,}",
    r"[a-z][\w.-]{1,62}\s+\| ",
    r"\s*[│┃|] ",
    r"\s*[\x{00D7}✗╰─▶]+ ",
)))  # fmt: skip
_FLATTENED = text_pattern(r'Traceback \(most recent call last\):?\s+File "[^"]+", line \d')
_FLAT_BREAKS = (
    (text_pattern(r"\s*(Traceback \(most recent call last\)):?"), r"\n\1:\n"),
    (text_pattern(r'\s+(File "[^"]+", line \d+, in \S+)'), r"\n  \1\n    "),
    (text_pattern(r"\s+((?:During handling of the above|The above) exception\b)"), r"\n\1"),
    (
        text_pattern(r"\s+((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Timeout|NotFound|Failure): )"),
        r"\n\1",
    ),
)
"""Where the lines of a traceback that something put on one line began, and how to begin them again."""
_DOUBLED = text_pattern(r"(?P<name>[A-Za-z_][\w.]*)(?P<marks>(?:: ){2,})(?P<rest>\S.*)$")
_MOST_PROCESSES = 16
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]?[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""Terminal colours and titles. No part of it can match in two ways, so it is linear in any engine."""
_CLOCK = text_pattern(r"\d\d?:\d\d([A-Za-z_]+: )")
_LEVEL = text_pattern(rf"\b({_LEVELS}|warning|error)\b|^\[?([EWIF])\d{{3,4}} ")
_ORIGIN = text_pattern(r"(?:pid|rank|TP|worker)[= ]?-?\d+|pod/[^\]\s]+")
_NOISE = text_pattern(r"\[address=[^\]]*\]\s?")
_LETTERS = {"E": "ERROR", "W": "WARNING", "I": "INFO", "F": "FATAL"}
_QUIET = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its wrapping."""

    number: int
    """Line number in the log, from 1."""
    text: str
    """What was left, indentation kept."""
    raw: str
    """The line as it stood, without surrounding blanks."""
    level: str | None = None
    """Upper-case level the logger gave it, if any."""
    origin: str = ""
    """Which process or rank wrote it, if the line says so."""

    @property
    def quiet(self) -> bool:
        """Whether its logger called it less than an error."""
        return self.level in _QUIET

    @property
    def indent(self) -> int:
        """Number of leading blanks."""
        return len(self.text) - len(self.text.lstrip())


def read_lines(windows: Iterable[Window]) -> Iterator[Line]:
    """The lines of some windows, each once, unwrapped."""
    reached = 0
    for window in windows:
        text = _ESCAPES.sub("", window.text) if "\x1b" in window.text else window.text
        for offset, whole in enumerate(text.split("\n")):
            number = window.number + offset
            if number < reached:
                continue
            for part in _parts(whole):
                yield _unwrapped(part, number)
        reached = window.number + window.text.count("\n")


def _parts(whole: str) -> Iterator[str]:
    """A physical line's logical ones: progress bars overwrite, JSON and repr hide line breaks."""
    for piece in whole.split("\r"):
        if not piece.strip():
            if piece is whole:
                yield ""
            continue
        text = _from_json(piece)
        if r"\n" in text and ("Traceback (most" in text or text.count(r"\n") >= _HIDDEN_BREAKS):
            text = text.replace(r"\n", "\n").replace(r"\"", '"').replace(r"\'", "'")
        for line in text.split("\n"):
            yield from (part[:LONGEST] for part in _unfolded(_once(line)))


def _once(line: str) -> str:
    """A line that several processes wrote into each other, piece by piece, as one of them meant it."""
    doubled = _DOUBLED.search(line)
    if doubled is None:
        return line
    name, rest = doubled.group("name") or "", doubled.group("rest") or ""
    for times in range(_MOST_PROCESSES, 1, -1):
        size, length = len(name) // times, len(rest) // times
        if name == name[:size] * times and doubled.group("marks") == ": " * times and rest == rest[:length] * times:
            return f"{line[: doubled.start()]}{name[:size]}: {rest[:length]}"
    return line


def _unfolded(line: str) -> list[str]:
    """A line, or the lines of the traceback that was put on it."""
    if "Traceback (most" not in line or _FLATTENED.search(line) is None:
        return [line]
    for pattern, broken in _FLAT_BREAKS:
        line = pattern.sub(broken, line)
    return line.split("\n")


def _from_json(piece: str) -> str:
    """The message of a line that a container runtime or a structured logger wrote as JSON."""
    if not piece.lstrip().startswith('{"'):
        return piece
    try:
        record = json.loads(piece)
    except ValueError:
        return piece
    fields = [record.get(name) for name in ("log", "message", "msg", "exc_info", "exception", "traceback", "stack")]
    texts = [str(field).rstrip("\n") for field in fields if field]
    return "\n".join(texts) or piece


def _unwrapped(part: str, number: int) -> Line:
    text, level, origin = part.rstrip(), None, ""
    if "&" in text and ";" in text:
        text = html.unescape(text)
    for _ in range(_MOST_PREFIXES):
        match = _PREFIX.match(text)
        if match is None or not match.end():
            break
        prefix, text = text[: match.end()], text[match.end() :]
        level = level or _level(prefix)
        found = _ORIGIN.search(prefix)
        origin = origin or (found.group() or "" if found else "")
    if text[:1].isdigit() and (clock := _CLOCK.match(text)):
        text = text[clock.start(1) :]
    if "[address=" in text:
        text = _NOISE.sub("", text)
    return Line(number, text.rstrip(" │┃"), part.strip(), level, origin)


def _level(prefix: str) -> str | None:
    match = _LEVEL.search(prefix)
    if match is None:
        return None
    letter = match.group(2)
    return _LETTERS[letter] if letter else (match.group(1) or "").upper()

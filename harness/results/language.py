"""The language of ``lmdeploy-harness results --where``, turned into SQL; every word of the reader is a parameter.

``status=fail and (family=symbol* or lmdeploy>=0.16) and not model=canary``: names are columns, values are bare words or
quoted, ``*`` and ``?`` in a value make it a pattern, and versions compare as versions.
"""

from __future__ import annotations

import difflib
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from packaging.version import InvalidVersion, Version

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOKEN = re.compile(
    r"""\s*(?:(?P<paren>[()])
    | (?P<operator>!=|<=|>=|=|<|>)
    | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
    | (?P<word>[^\s()=!<>"']+))""",
    re.VERBOSE,
)
DEEPEST = 50
"""Parentheses and nots within each other; more is no question of a person's."""
TEXT, NUMBER, VERSION = "text", "number", "version"
Kind: TypeAlias = str | tuple[str, ...]
"""What a column holds: one of those three, or else all the values that it can have."""


class BadQuery(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the question
    """The question cannot be understood; the message says where, and what could stand there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL, and the values for its question marks."""

    sql: str = "1"
    values: tuple[str | float, ...] = ()


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(question: str, columns: Mapping[str, Kind]) -> Condition:
    """The question as SQL.

    Args:
        question: what the reader wrote; empty: everything.
        columns: the names that may be asked for, and of what kind each is.

    Raises:
        BadQuery: it cannot be understood.
    """
    tokens = _tokens(question)
    if not tokens:
        return Condition()
    reader = _QuestionReader(question, tokens, columns)
    condition = reader.either(0)
    if reader.place < len(tokens):
        raise reader.bad("'and' or 'or'")
    return condition


def known_column(name: str, columns: Sequence[str]) -> str:
    """The column of that name.

    Raises:
        BadQuery: there is none; the message names the nearest.
    """
    if name in columns:
        return name
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise BadQuery(f"there is no column {name!r}; {hint}columns: {', '.join(columns)}")


def _tokens(question: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while question[place:].strip():
        match = _TOKEN.match(question, place)
        if match is None:
            start = len(question) - len(question[place:].lstrip())
            raise BadQuery(f"--where, at character {start + 1}: {question[start : start + 20]!r} is not understood")
        kind = str(match.lastgroup)
        found.append(_Token("quoted" if kind in {"double", "single"} else kind, match[kind], match.start(kind)))
        place = match.end()
    return found


@dataclass(slots=True)
class _QuestionReader:
    question: str
    tokens: list[_Token]
    columns: Mapping[str, Kind]
    place: int = field(default=0)

    def either(self, depth: int) -> Condition:
        """Parts joined by ``or``."""
        parts = [self.both(depth)]
        while self.takes("or"):
            parts.append(self.both(depth))
        return _joined(" OR ", parts)

    def both(self, depth: int) -> Condition:
        """Parts joined by ``and``."""
        parts = [self.one(depth)]
        while self.takes("and"):
            parts.append(self.one(depth))
        return _joined(" AND ", parts)

    def one(self, depth: int) -> Condition:
        """``not …``, ``( … )``, or a comparison."""
        if depth > DEEPEST:
            raise BadQuery(f"--where goes more than {DEEPEST} parentheses deep")
        if self.takes("not"):
            inner = self.one(depth + 1)
            return Condition(f"NOT ({inner.sql})", inner.values)
        if self.takes("(", "paren"):
            inner = self.either(depth + 1)
            if not self.takes(")", "paren"):
                raise self.bad("')'")
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        """``name operator value``."""
        name = known_column(self.next("word", "a column's name").text, list(self.columns))
        operator = self.next("operator", "one of = != < <= > >=").text
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        if token is None or token.kind not in {"word", "quoted"}:
            raise self.bad("a value")
        self.place += 1
        return _compared(name, operator, token, self.columns[name])

    def takes(self, text: str, kind: str = "word") -> bool:
        """Go past that token, if it is the next."""
        if self.place < len(self.tokens):
            token = self.tokens[self.place]
            if token.kind == kind and token.text.lower() == text:
                self.place += 1
                return True
        return False

    def next(self, kind: str, wanted: str) -> _Token:
        """The next token, which must be of that kind."""
        if self.place >= len(self.tokens) or self.tokens[self.place].kind != kind:
            raise self.bad(wanted)
        self.place += 1
        return self.tokens[self.place - 1]

    def bad(self, wanted: str) -> BadQuery:
        """The complaint about the next token."""
        if self.place >= len(self.tokens):
            return BadQuery(f'--where ends where {wanted} should stand; e.g. "status=fail and family=symbol*"')
        token = self.tokens[self.place]
        return BadQuery(f"--where, at character {token.at + 1}: {token.text!r} stands where {wanted} should")


def _joined(word: str, parts: list[Condition]) -> Condition:
    if len(parts) == 1:
        return parts[0]
    return Condition(
        word.join(f"({part.sql})" for part in parts), tuple(value for part in parts for value in part.values)
    )


def _compared(name: str, operator: str, token: _Token, kind: Kind) -> Condition:
    column = f'"{name}"'  # a name of the closed list, never the reader's own text
    value = token.text
    if kind == NUMBER:
        with suppress(ValueError):
            if math.isfinite(number := float(value)):
                return Condition(f"{column} {operator} ?", (number,))
        raise BadQuery(f"{name} is a number, and {value[:40]!r} is none")
    if operator in {"=", "!="}:
        negated = "NOT " if operator == "!=" else ""
        if token.kind == "word" and ("*" in value or "?" in value):
            return Condition(f"{column} {negated}GLOB ?", (value.replace("[", "[[]"),))
        if isinstance(kind, tuple):
            _demand_known(name, value, kind)
        return Condition(f"{column} {operator} ?", (value,))
    if kind == VERSION:
        try:
            Version(value)
        except InvalidVersion:
            raise BadQuery(f"{name} {operator} compares versions, and {value!r} is none") from None
        return Condition(f"version_key({column}) {operator} version_key(?)", (value,))
    return Condition(f"{column} {operator} ?", (value,))


def _demand_known(name: str, value: str, known: tuple[str, ...]) -> None:
    """Another value is a slip, and an empty answer would hide it; nothing stands for what has none."""
    if value and value not in known:
        close = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise BadQuery(f"no {name} is {value!r}; {hint}there are: {', '.join(known)}")

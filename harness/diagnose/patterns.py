"""Regular expressions that cannot run away: RE2 behind a typed door.

RE2 matches in time linear in the text, whatever the pattern, so a hostile log costs no more than a friendly one.
It has no look-around and no back references. Every other module of the diagnosis takes its patterns from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import re2  # type: ignore[import-untyped]  # google-re2 ships no type information

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T", str, bytes)


class Match(Protocol[T]):
    """The part of a match that the diagnosis uses."""

    def start(self, group: int = 0) -> int:
        """Where a group begins; -1 if it took no part."""

    def end(self, group: int = 0) -> int:
        """Where a group ends; -1 if it took no part."""

    def group(self, group: int | str = 0) -> T | None:
        """The text of a group; None if it took no part."""

    def groupdict(self) -> dict[str, T | None]:
        """The named groups."""


class Pattern(Protocol[T]):
    """A compiled expression over text or over bytes."""

    def search(self, text: T, pos: int | None = None, endpos: int | None = None) -> Match[T] | None:
        """The leftmost match anywhere."""

    def match(self, text: T, pos: int | None = None, endpos: int | None = None) -> Match[T] | None:
        """A match at the beginning."""

    def fullmatch(self, text: T, pos: int | None = None, endpos: int | None = None) -> Match[T] | None:
        """A match of the whole."""

    def finditer(self, text: T, pos: int | None = None, endpos: int | None = None) -> Iterator[Match[T]]:
        """All matches, left to right, without overlap."""

    def sub(self, repl: T, text: T, count: int = 0) -> T:
        """The text with its matches replaced."""


class PatternError(ValueError):
    """An expression that RE2 does not take; the message names it."""


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False  # the error is raised; stderr belongs to the caller
    return options


def text_pattern(expression: str) -> Pattern[str]:
    """Compile an expression over text.

    Raises:
        PatternError: RE2 does not take it, e.g. because of look-around or a back reference.
    """
    try:
        return cast("Pattern[str]", re2.compile(expression, _options()))
    except re2.error as error:
        raise PatternError(f"{expression!r} is not an RE2 expression: {_reason(error)}") from None


def byte_pattern(expression: bytes) -> Pattern[bytes]:
    """Compile an expression over bytes, for text that is not decoded yet.

    Raises:
        PatternError: RE2 does not take it.
    """
    options = _options()
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return cast("Pattern[bytes]", re2.compile(expression, options))
    except re2.error as error:
        raise PatternError(f"{expression!r} is not an RE2 expression: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    detail = error.args[0] if error.args else ""
    return detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)


class PatternSet:
    """Many expressions asked at once: which of them occur in a text.

    Literal parts of the expressions are looked up in one pass, and only those expressions whose literals occur are
    run, so the cost hardly grows with their number.
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        """Compile ``expressions``, which RE2 must take; their positions are the ids that :meth:`indices` gives back."""
        self._size = len(expressions)
        self._filter = re2.Filter()
        for expression in expressions:
            self._filter.Add(expression, _options())
        if expressions:
            self._filter.Compile()

    def indices(self, text: str) -> list[int]:
        """Ids of the expressions that occur somewhere in ``text``, ascending."""
        if not self._size:
            return []
        return sorted(self._filter.Match(text) or [])


class WordSet:
    """Which of a few plain words occur in raw bytes, upper or lower case alike, found in one pass."""

    def __init__(self, words: Sequence[str]) -> None:
        """Take the ``words`` as they are, not as expressions."""
        self._words = tuple(words)
        options = _options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.case_sensitive = False
        self._set = re2.Set.SearchSet(options)
        for word in self._words:
            self._set.Add(re2.escape(word))
        self._set.Compile()

    def found(self, data: bytes) -> set[str]:
        """The words that occur in ``data``."""
        return {self._words[index] for index in self._set.Match(data) or []}

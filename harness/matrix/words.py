"""What ``-k`` means: words that an id holds, joined by ``and``, ``or`` and ``not``, as in nox."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r"[()]|[^\s()]+")


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)

    def whole(self) -> Callable[[str], bool]:
        found = self._any()
        if self._tokens:
            raise self._wrong(f"'and' or 'or' is wanted before '{self._tokens[0]}'")
        return found

    def _any(self) -> Callable[[str], bool]:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return lambda identity: any(part(identity) for part in parts)

    def _all(self) -> Callable[[str], bool]:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return lambda identity: all(part(identity) for part in parts)

    def _one(self) -> Callable[[str], bool]:
        if self._takes("not"):
            other = self._one()
            return lambda identity: not other(identity)
        if self._takes("("):
            inner = self._any()
            if not self._takes(")"):
                raise self._wrong("a bracket is not closed")
            return inner
        if not self._tokens or self._tokens[0] in {"and", "or", ")"}:
            raise self._wrong("a word is missing")
        word = self._tokens.pop(0).lower()
        return lambda identity: word in identity.lower()

    def _takes(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"'{self._text}': {what}; write e.g. 'lmdeploy0.18.0 and not pytorch'")


def holds(text: str) -> Callable[[str], bool]:
    """Whether an id holds what an expression says.

    Raises:
        ValueError: it is no such expression; the message says why.
    """
    return _Reader(text).whole()

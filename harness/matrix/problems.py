"""What is wrong with a file a person wrote, as values, and the one exception that carries them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to change in one place."""

    file: str
    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""
    key: str
    """Path of the key, ``include[2].launch``; empty for the file as a whole."""
    message: str
    """What is wrong."""
    hint: str = ""
    """What to write instead."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        what = f"{self.key}: {self.message}" if self.key else self.message
        return f"{where}: {what}\n    {self.hint}" if self.hint else f"{where}: {what}"


class MatrixError(HarnessError):
    """A matrix or a model spec that cannot be used, with everything that is wrong with it.

    ``str()`` is the text to show to a person: one problem per paragraph, each with file, line and column.
    """

    def told(self) -> str:
        """The problems, each with its place."""
        return str(self)

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The entry of ``known`` that ``word`` was most likely meant to be, if any is close."""
    by_lower = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(word.lower()[:200], by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of ``known`` and lists what is allowed."""
    allowed = list(known)
    close = nearest(word, allowed)
    listed = f"allowed here: {', '.join(allowed)}" if allowed else "nothing is allowed here"
    return f"did you mean '{close}'? ({listed})" if close else listed

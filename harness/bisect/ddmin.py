"""Delta debugging: the smallest set of changes that still turns the verdict (Zeller and Hildebrandt's ddmin).

The algorithm knows nothing of packages. A trial answers ``RED`` (the failure in question), ``GREEN`` (it is not there)
or ``UNRESOLVED`` (it cannot be told: something else went wrong).
"""

from __future__ import annotations

import itertools
import math
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class TrialOutcome(StrEnum):
    """What a trial says of the failure that is looked for."""

    GREEN = "green"
    RED = "red"
    UNRESOLVED = "unresolved"


def ddmin(changes: Sequence[str], test: Callable[[Sequence[str]], TrialOutcome]) -> list[str]:
    """A subset of ``changes`` that is red and loses that as soon as any single change is taken out of it.

    Args:
        changes: what differs; all of it together is known to be red.
        test: tries a subset; it is asked at most once for each subset that is looked at here.
    """
    current = list(changes)
    parts = 2
    while len(current) > 1:
        pieces = _split(current, parts)
        smaller = next((piece for piece in pieces if test(piece) is TrialOutcome.RED), None)
        if smaller is not None:
            current, parts = smaller, 2
            continue
        rest = None
        if parts > 2:  # noqa: PLR2004 - with two pieces each is the other's complement
            complements = ([each for other in pieces if other is not piece for each in other] for piece in pieces)
            rest = next((each for each in complements if test(each) is TrialOutcome.RED), None)
        if rest is not None:
            current, parts = rest, max(parts - 1, 2)
        elif parts < len(current):
            parts = min(len(current), 2 * parts)
        else:
            break
    return current


def _split(changes: list[str], parts: int) -> list[list[str]]:
    """The changes in ``parts`` pieces of nearly equal length, in order."""
    bounds = [round(number * len(changes) / parts) for number in range(parts + 1)]
    return [changes[start:end] for start, end in itertools.pairwise(bounds)]


def bound_for_one(changes: int) -> int:
    """Trials that ddmin needs at most when a single change is to blame and every trial is resolved: ``2 log2 n``."""
    return 2 * math.ceil(math.log2(changes)) if changes > 1 else 0


def bound_at_worst(changes: int) -> int:
    """Trials that ddmin needs at most, whatever is to blame: ``n² + 3n``."""
    return changes * changes + 3 * changes

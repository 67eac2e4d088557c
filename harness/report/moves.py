"""Stacks of one combination before and after: which packages moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.visible import shown
from harness.report.model import MovedEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.report.extras import PreviousRun
    from harness.report.model import CombinationEntry, Stack

ABSENT = "absent"


def moved_since(
    previous: PreviousRun, combinations: Sequence[CombinationEntry], stacks: Sequence[Stack]
) -> list[MovedEntry]:
    """Packages that moved, each set of moves once, with the combinations that it moved in; the largest group first."""
    groups: dict[tuple[tuple[str, str, str], ...], list[int]] = {}
    for index, entry in enumerate(combinations):
        before = previous.stacks.get(entry.id)
        if before is None or entry.stack is None or before == stacks[entry.stack].packages:
            continue
        moves = moves_between(before, stacks[entry.stack].packages)
        if moves:
            groups.setdefault(moves, []).append(index)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1]))
    return [MovedEntry(packages=[list(move) for move in moves], combinations=found) for moves, found in ordered]


def moves_between(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """Name, version before and version after of each package that moved, by name."""
    return tuple(
        (shown(name), shown(before.get(name, ABSENT)), shown(after.get(name, ABSENT)))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )

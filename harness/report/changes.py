"""This run compared with an earlier one: one class for each combination, none left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.comparison import ORDER, Change, compare
from harness.core.visible import bounded, visible
from harness.report.combinations import parsed
from harness.report.model import ChangeEntry, Changes
from harness.report.moves import moved_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.extras import PreviousRun
    from harness.report.model import CombinationEntry, Stack


def changes_since(
    previous: PreviousRun, combinations: Sequence[CombinationEntry], stacks: Sequence[Stack] = ()
) -> Changes:
    """What moved since the previous run.

    Raises:
        ValueError: a verdict of the previous run is not one.
    """
    before = {visible(bounded(name, 500)): parsed(text) for name, text in previous.verdicts.items()}
    after = {entry.id: index for index, entry in enumerate(combinations)}
    counts: dict[str, int] = {str(change): 0 for change in ORDER}
    entries = []
    for name in sorted(before.keys() | after.keys()):
        index = after.get(name)
        now = None if index is None else parsed(combinations[index].verdict)
        change = compare(before.get(name), now)
        counts[change] += 1
        if change is not Change.SAME:
            entries.append(
                ChangeEntry(
                    id=name,
                    change=change,
                    before=str(before[name]) if name in before else None,
                    after=None if index is None else combinations[index].verdict,
                    combination=index,
                )
            )
    entries.sort(key=lambda entry: (ORDER.index(entry.change), entry.id))
    return Changes(
        since=visible(bounded(previous.label, 200)),
        counts=counts,
        entries=entries,
        moved=moved_since(previous, combinations, stacks),
    )

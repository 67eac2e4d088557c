"""This run compared with an earlier one: one class for each combination, none left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from harness.core.verdict import Status
from harness.report.combinations import parsed
from harness.report.model import Change, ChangeEntry, Changes
from harness.report.visible import bounded, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.verdict import Verdict
    from harness.report.extras import PreviousRun
    from harness.report.model import Combination

_TESTED = (Status.PASS, Status.FAIL)


def changes_since(previous: PreviousRun, combinations: Sequence[Combination]) -> Changes:
    """What moved since the previous run.

    Raises:
        ValueError: a verdict of the previous run is not one.
    """
    before = {visible(bounded(name, 500)): parsed(text) for name, text in previous.verdicts.items()}
    after = {entry.id: index for index, entry in enumerate(combinations)}
    counts: dict[str, int] = dict.fromkeys(get_args(Change), 0)
    entries = []
    for name in sorted(before.keys() | after.keys()):
        index = after.get(name)
        now = None if index is None else parsed(combinations[index].verdict)
        change = classify(before.get(name), now)
        counts[change] += 1
        if change != "same":
            entries.append(
                ChangeEntry(
                    id=name,
                    change=change,
                    before=str(before[name]) if name in before else None,
                    after=None if index is None else combinations[index].verdict,
                    combination=index,
                )
            )
    order = list(get_args(Change))
    entries.sort(key=lambda entry: (order.index(entry.change), entry.id))
    return Changes(since=visible(bounded(previous.label, 200)), counts=counts, entries=entries)


def classify(before: Verdict | None, after: Verdict | None) -> Change:  # noqa: PLR0911 - one line for each class
    """The class of one combination between two runs; at least one side exists."""
    if before is None:
        return "new"
    if after is None:
        return "gone"
    if before == after:
        return "same"
    if Status.INFRA in (before.status, after.status):
        return "infra"
    tested = (before.status in _TESTED, after.status in _TESTED)
    if tested == (True, False):
        return "no-longer-tested"
    if tested == (False, True):
        return "now-tested"
    if tested == (False, False):
        return "same"  # not tested either way, whatever the reason
    if before.status is after.status:
        return "other-failure" if after.status is Status.FAIL else "same"
    return "regressed" if after.status is Status.FAIL else "fixed"

"""Whose records a report's answers rest on, and how old they are."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from harness.core.visible import shown
from harness.evidence.sightings import aware
from harness.report.combinations import utc
from harness.report.model import SourceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from harness.evidence.sightings import Sighting

HERE = "this machine"
STALE_DAYS = 45
"""LMDeploy has a new minor release about every six weeks: what is older does not know the newest."""


def sources_of(sightings: Iterable[Sighting], now: datetime) -> list[SourceEntry]:
    """Each source with its dates, this machine's first."""
    found: defaultdict[str, list[Sighting]] = defaultdict(list)
    for each in sightings:
        found[each.source].append(each)
    entries = []
    for name in sorted(found):
        records = [each.record for each in found[name]]
        last = max(each.finished for each in found[name])
        days = max(0, (aware(now) - last).days)
        entries.append(
            SourceEntry(
                name=shown(name) or HERE,
                records=len(records),
                first=utc(min(aware(record.started) for record in records)),
                last=utc(last),
                days=days,
                stale=days > STALE_DAYS,
                machines=sorted({shown(each.machine) for each in found[name]}),
            )
        )
    return entries

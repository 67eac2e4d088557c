"""What the records of every machine tell of the stacks after a change, where this one could not judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Status
from harness.evidence.choice import named
from harness.evidence.predictions import Predictions
from harness.evidence.sightings import Sighting
from harness.evidence.sources import Sources
from harness.evidence.stacks import Knowledge
from harness.evidence.subjects import subjects_of
from harness.evidence.told import conflict_lines, level_words, shown_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.core.records import Record
    from harness.evidence.stacks import Known
    from harness.matrix.models import ModelSpec

MOST = 5
"""Stacks that are told of, and failures of each."""


def known_of(records: Iterable[Record], reports: Path, models: Mapping[str, ModelSpec]) -> list[str]:
    """One sentence for each stack of which another machine has shown more; it decides nothing.

    Args:
        records: the last attempt at each stack after the change.
        reports: where the records are that other commands answer from, those of other machines included.
        models: the specs by name.
    """
    open_ones = [each for each in map(Sighting, records) if each.verdict.status is Status.BLOCKED and each.record.lock]
    if not open_ones:
        return []
    sightings = [each for source in Sources.of(reports).all for each in source.sightings]
    knowledge = Knowledge.of(subjects_of(models.values()), [*sightings, *open_ones], Predictions())
    told: dict[str, None] = {}
    for each in open_ones:
        stacks = knowledge.stacks(each.model, each.backend) if each.model in models else []
        for known in stacks:
            if known.lock == each.record.lock:
                told |= dict.fromkeys(_told(knowledge, known))
    return list(told)[:MOST]


def _told(knowledge: Knowledge, known: Known) -> list[str]:
    against = conflict_lines(known)[:MOST]
    if not known.level.served and not against:
        return []  # no more than this machine shows itself
    words = [shown_line(knowledge, known).text, *(each.text for each in against)]
    return [f"{named(known)}, {known.backend}, {known.subject.title}: {level_words(known)}. {' '.join(words)}"]

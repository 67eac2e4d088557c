"""The settings to launch a stack with: those that ran, the cache made to fit the target's card."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.engines import configuration_of
from harness.engines.settings import settings_in
from harness.probes.engines.settings import cache_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from harness.evidence.sightings import Sighting
    from harness.evidence.stacks import Knowledge, Known

SHARE = "cache_max_entry_count"


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """Fields of the engine's configuration, and where they come from."""

    fields: Mapping[str, JsonValue]
    run: Sighting | None = None
    """The run that was told so; None: no engine came up with any, and these are the smoke test's."""
    ran: Mapping[str, JsonValue] = field(default_factory=dict)
    """What that run was told, where it is another value here."""

    @property
    def origin(self) -> str:
        """One sentence."""
        if self.run is None:
            return "no engine came up anywhere, so these settings were not tested"
        where = f"as {self.run.model} ran with lmdeploy {self.run.lmdeploy} and transformers {self.run.transformers}"
        changed = [f"{name} was {value} there, on a card of another size" for name, value in self.ran.items()]
        return ", except that ".join([where, *changed])


def launch_settings(knowledge: Knowledge, known: Known, gpu_gib: float | None) -> LaunchSettings:
    """What to tell the engine of a stack for its model.

    A share of the cache that ran on a card of 80 GiB would be far too small on one of 8 GiB, so where the target's
    memory is known it is worked out anew, by the rule that the runs themselves use.
    """
    configuration = configuration_of(known.backend)
    if configuration is None:
        return LaunchSettings({})
    subject = known.subject
    asked = settings_in(known.best.sighting.record.axes.get("engine", "")) if known.best is not None else {}
    needed = configuration.settings(subject.quantisation or "", asked).fields
    run = _run(knowledge, known)
    told = run.settings if run is not None else configuration.smoke.fields
    fields: dict[str, JsonValue] = {**told, **needed}
    ran: dict[str, JsonValue] = {}
    if gpu_gib is not None and subject.weights_gib is not None and SHARE not in asked:
        card = gpu_gib * 1024
        fields[SHARE] = round(cache_share(card, card, subject.weights_gib * 1024), 2)
        if run is not None and SHARE in run.settings and run.settings[SHARE] != fields[SHARE]:
            ran[SHARE] = run.settings[SHARE]
    return LaunchSettings(dict(sorted(fields.items())), run, ran)


def _run(knowledge: Knowledge, known: Known) -> Sighting | None:
    """The run to go by: at the model's size before another, on this lock before its lmdeploy, the latest of those."""
    subject = known.subject
    came_up = [each for each in knowledge.of_model(subject, known.backend) if each.settings]

    def rank(each: Sighting) -> tuple[object, ...]:
        sized = each.model in knowledge.subjects and knowledge.subjects[each.model].as_large_as(subject)
        here = each.record.lock == known.lock
        return (not each.options, each.lmdeploy == known.lmdeploy, sized, here, each.order)

    return max(came_up, key=rank, default=None)

"""The engine's configuration for the target: what was tested, with the cache made to fit the target's card.

A share of the cache that was tested on a card of 80 GiB would be far too small on one of 8 GiB, so it is worked out
anew for the target's memory, by the rule that the tests themselves use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.matrix.models import HubWeights
from harness.probes.engines.settings import CACHE_SHARE, cache_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.records import Record
    from harness.engines.engine import Configuration
    from harness.matrix.models import ModelSpec

SHARE = "cache_max_entry_count"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Fields of the engine's configuration, and where they come from."""

    fields: Mapping[str, object]
    origin: str
    """One sentence for the evidence."""


def engine_settings(
    configuration: Configuration, record: Record, spec: ModelSpec, gpu_memory_gib: float | None
) -> EngineSettings:
    """What the launch script says to the engine.

    Args:
        configuration: of the engine that is pinned.
        record: the attempt that is pinned.
        spec: the model's.
        gpu_memory_gib: memory of the target's card; None: not said, and the tested share is kept.
    """
    tested = _tested(record)
    smoke, needed = configuration.smoke, configuration.settings(spec.quantisation)
    usual = {"session_len": smoke.session_len, "max_batch_size": smoke.max_batch_size, SHARE: CACHE_SHARE}
    fields: dict[str, object] = {**usual, **needed.fields, **tested}
    if gpu_memory_gib is not None:
        card = gpu_memory_gib * 1024
        fields[SHARE] = round(cache_share(card, card, spec.memory.weights_gib * 1024), 2)
    if isinstance(spec.weights, HubWeights) and spec.weights.revision is not None:
        fields["revision"] = spec.weights.revision
    changed = sorted(name for name, value in fields.items() if name in tested and tested[name] != value)
    if not tested:
        origin = "no engine came up here, so these settings were not tested"
    else:
        origin = "as tested" + (f", except {', '.join(changed)}, made for the target's card" if changed else "")
        added = sorted(name for name in fields if name not in tested)
        origin += f"; added: {', '.join(added)}" if added else ""
    return EngineSettings(dict(sorted(fields.items())), origin)


def _tested(record: Record) -> dict[str, object]:
    """The settings that an engine came up with; empty where none did."""
    for stage in record.stages:
        for check in stage.checks:
            boot = check.facts.get("boot")
            settings = boot.get("settings") if isinstance(boot, dict) else None
            if isinstance(settings, dict):
                return {str(name): value for name, value in settings.items()}
    return {}

"""What a boot demands of a GPU host, as resources that Ray schedules by.

Ray knows amounts, not ranges. So a condition is a resource: a node that meets ``compute_capability>=8.0`` advertises
plenty of a resource of that name, and a boot that needs it takes a crumb. What a node meets is worked out from its own
facts, exactly, for every condition that some combination of the matrix makes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.records import MachineRecord
    from harness.matrix import Combination
    from harness.matrix.combination import TargetMachine
    from harness.matrix.models import ModelSpec

PLENTY = 1_000_000.0
CRUMB = 0.001
LEAST_SHARE = 0.05
"""Of a card: Ray counts in ten-thousandths, and twenty boots on one card are enough."""


def conditions(target: TargetMachine) -> list[str]:
    """The names of what ``target`` demands of a GPU host."""
    found = []
    if target.gpu_memory_gib is not None:
        found.append(f"gpu_memory>={target.gpu_memory_gib:g}GiB")
    if target.compute_capability is not None:
        found.append(f"compute_capability{target.compute_capability}")
    if target.driver is not None:
        found.append(f"driver{target.driver}")
    return found


def meets(machine: MachineRecord, target: TargetMachine) -> list[str]:
    """Those of the target's conditions that every GPU of the machine meets; none without a GPU."""
    if not machine.gpus:
        return []
    held = []
    if target.gpu_memory_gib is not None and min(machine.gpu_memory_mib) >= 0.9 * 1024 * target.gpu_memory_gib:
        held.append(f"gpu_memory>={target.gpu_memory_gib:g}GiB")  # an 8 GiB card shows a little less
    capability, driver = target.compute_capability, target.driver
    if (
        capability is not None
        and machine.gpu_capability
        and all(_in(each, capability) for each in machine.gpu_capability)
    ):
        held.append(f"compute_capability{capability}")
    if driver is not None and machine.driver is not None and _in(machine.driver, driver):
        held.append(f"driver{driver}")
    return held


def advertised(machine: MachineRecord, combinations: Iterable[Combination]) -> dict[str, float]:
    """The resources of a node with these facts, for these combinations: ``ray start --resources``."""
    targets = {each.target for each in combinations}
    return {name: PLENTY for target in targets for name in meets(machine, target)}


def goes_to_gpu(combination: Combination) -> bool:
    """Whether it ends on a GPU where there is one: an engine boots there."""
    return combination.excluded is None and combination.backend.engine.needs_gpu


def demanded(
    combination: Combination, spec: ModelSpec, nodes: Sequence[Mapping[str, float]]
) -> dict[str, float] | None:
    """What the boot takes of a node, ``GPU`` included; None when no node has it.

    Boots share a card by memory: the share is that of the smallest card of which anybody has said its size.

    Args:
        combination: what boots.
        spec: its model.
        nodes: the total resources of each node, ``gpu_memory_mib`` among them where it is known.
    """
    named = dict.fromkeys(conditions(combination.target), CRUMB)
    able = [node for node in nodes if node.get("GPU", 0) >= 1 and all(node.get(name, 0) > 0 for name in named)]
    if not able:
        return None
    wanted = 1024 * (combination.target.gpu_memory_gib or spec.memory.gpu_gib)
    smallest = min((node["gpu_memory_mib"] for node in able if node.get("gpu_memory_mib")), default=wanted)
    share = math.ceil(100 * min(1.0, max(LEAST_SHARE, wanted / smallest))) / 100
    return {"GPU": share, **named}


def _in(version: str, wanted: str) -> bool:
    try:
        return SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False

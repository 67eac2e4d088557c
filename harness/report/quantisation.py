"""Backends by quantisation method: how far the best combination of each LMDeploy came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Status
from harness.core.versions import version_key
from harness.report.axes import backend_key
from harness.report.model import CombinationEntry, MethodCell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.report.model import ModelFacts

_ORDER = (Status.SKIPPED, Status.INFRA, Status.FAIL, Status.BLOCKED, Status.PASS)
"""Worst first. A skipped or disturbed combination says less than one that failed."""


def method_cells(combinations: Sequence[CombinationEntry], models: Mapping[str, ModelFacts]) -> list[MethodCell]:
    """One cell for each method and backend met; none where all models have one method."""
    best: dict[tuple[str, str], dict[str, int]] = {}
    for index, entry in enumerate(combinations):
        facts = models.get(entry.axes.get("model", ""))
        if facts is None or facts.quantisation is None or not {"backend", "lmdeploy"} <= entry.axes.keys():
            continue
        cell = best.setdefault((facts.quantisation, entry.axes["backend"]), {})
        known = cell.get(entry.axes["lmdeploy"])
        if known is None or _reach(entry) > _reach(combinations[known]):
            cell[entry.axes["lmdeploy"]] = index
    if len({method for method, _ in best}) < 2:  # noqa: PLR2004 - nothing to compare
        return []
    return [
        MethodCell(
            backend=backend,
            method=method,
            best=[cell[version] for version in sorted(cell, key=version_key, reverse=True)],
        )
        for (method, backend), cell in sorted(best.items(), key=lambda item: (_method(item[0][0]), _side(item[0][1])))
    ]


def _reach(entry: CombinationEntry) -> tuple[int, int]:
    """How far it came: a failure higher up tells more of the quantisation than one at resolve."""
    stage = -1 if entry.height is None else entry.height.position
    return (_ORDER.index(entry.status), stage)


def _method(name: str) -> tuple[bool, str]:
    return (name != "none", name)


def _side(backend: str) -> tuple[int, str]:
    return backend_key(backend)

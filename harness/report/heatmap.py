"""The heat map: lmdeploy by transformers, one facet for each backend and model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.versions import version_key
from harness.report.axes import ABSENT, backend_key
from harness.report.model import Facet
from harness.report.wording import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.report.model import CombinationEntry


def facets_of(combinations: Sequence[CombinationEntry], models: Sequence[str]) -> list[Facet]:
    """One facet for each backend and model met: ``models`` in their order, LMDeploy's engines before the reference."""
    order = {model: place for place, model in reversed(list(enumerate(models)))}
    members: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(combinations):
        key = (entry.axes.get("backend", ABSENT), entry.axes.get("model", ABSENT))
        members.setdefault(key, []).append(index)
    ordered = sorted(members, key=lambda key: (order.get(key[1], len(order)), key[1], backend_key(key[0])))
    return [_facet(backend, model, members[backend, model], combinations) for backend, model in ordered]


def no_counts() -> dict[str, int]:
    """Every status, none met."""
    return {str(status): 0 for status in STATES}


def counts_of(combinations: Iterable[CombinationEntry]) -> dict[str, int]:
    """Combinations by status, each present."""
    counts = no_counts()
    for entry in combinations:
        counts[entry.status] += 1
    return counts


def _facet(backend: str, model: str, indices: Sequence[int], combinations: Sequence[CombinationEntry]) -> Facet:
    crossings: dict[tuple[str, str], list[int]] = {}
    for index in indices:
        axes = combinations[index].axes
        crossings.setdefault((axes.get("lmdeploy", ABSENT), axes.get("transformers", ABSENT)), []).append(index)
    rows = sorted({row for row, _ in crossings}, key=version_key, reverse=True)
    columns = sorted({column for _, column in crossings}, key=version_key)
    return Facet(
        backend=backend,
        model=model,
        rows=rows,
        columns=columns,
        cells=[[crossings.get((row, column), []) for column in columns] for row in rows],
        counts=counts_of(combinations[index] for index in indices),
    )

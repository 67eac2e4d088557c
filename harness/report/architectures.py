"""Architectures by stacks, from miniatures; the page finds a row by the name of any model of that architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.verdict import Stage, Status
from harness.core.versions import version_key
from harness.report.model import ArchitectureCell, ArchitectureMap, ArchitectureRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from harness.report.model import CheckEntry, CombinationEntry, ModelFacts

LIMITS = (
    "A miniature has its model's own structure, tiny sizes and random weights. It shows that an engine computes what "
    "transformers computes; it shows nothing of speed, memory, long contexts, quality, or weights of the real size."
)
"""What is said wherever a miniature's verdict stands."""


def architectures_of(
    combinations: Sequence[CombinationEntry], checks: Sequence[CheckEntry], models: Mapping[str, ModelFacts]
) -> ArchitectureMap | None:
    """The map of all miniatures; None where there are none."""
    cells: dict[str, dict[tuple[str, str, str], int]] = {}
    for index, entry in enumerate(combinations):
        model = entry.axes.get("model", "")
        if model in models and models[model].weights == "miniature":
            stack = (entry.axes["lmdeploy"], entry.axes["transformers"], entry.axes["backend"])
            cells.setdefault(model, {})[stack] = index
    if not cells:
        return None
    stacks = sorted({stack for row in cells.values() for stack in row}, key=_stack_key)
    rows: list[ArchitectureRow] = []
    for model, found in cells.items():
        row = [_cell(found.get(stack), combinations, checks) for stack in stacks]
        agreeing = [place for place, cell in enumerate(row) if cell is not None and cell.agrees]
        rows.append(
            ArchitectureRow(
                model=model,
                architecture=models[model].architecture or model,
                title=models[model].title,
                known_models=models[model].known_models,
                best=agreeing[-1] if agreeing else None,
                cells=row,
            )
        )
    rows.sort(key=lambda row: (row.architecture, row.model))
    return ArchitectureMap(limits=LIMITS, stacks=[list(stack) for stack in stacks], rows=rows)


def _stack_key(stack: tuple[str, str, str]) -> tuple[object, ...]:
    return (stack[2], version_key(stack[0]), version_key(stack[1]))


def _cell(
    index: int | None, combinations: Sequence[CombinationEntry], checks: Sequence[CheckEntry]
) -> ArchitectureCell | None:
    if index is None:
        return None
    entry = combinations[index]
    asked = next((stage for stage in entry.stages if stage.stage is Stage.EMULATE), None)
    facts = checks[asked.checks[0]].facts if asked is not None and asked.checks else {}
    compared = facts.get("comparison")
    compared = compared if isinstance(compared, dict) else {}
    agrees = asked is not None and asked.status is Status.PASS
    return ArchitectureCell(
        combination=index,
        state=Status.PASS if agrees else entry.status,
        agrees=agrees,
        ratio=_number(compared.get("ratio")),
        reason=None if agrees or entry.reason is None else str(entry.reason),
    )


def _number(value: JsonValue) -> float | None:
    return round(float(value), 2) if isinstance(value, int | float) and not isinstance(value, bool) else None

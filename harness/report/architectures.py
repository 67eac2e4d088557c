"""Architectures by stacks, from miniatures; the page finds a row by the name of any model of that architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.core.verdict import Stage, Status
from harness.core.versions import version_key
from harness.evidence.levels import Level
from harness.report.model import ArchitectureCell, ArchitectureMap, ArchitectureRow, ArchitectureStack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from harness.report.model import CheckEntry, CombinationEntry, Machine, ModelFacts, Recommendation

LIMITS = (
    "A miniature has its model's own structure, tiny sizes and random weights. It shows that an engine computes what "
    "transformers computes; it shows nothing of speed, memory, long contexts, quality, or weights of the real size."
)
"""What is said wherever a miniature's verdict stands."""


class _Stack(NamedTuple):
    backend: str
    gpu: bool
    lmdeploy: str
    transformers: str


def architectures_of(
    combinations: Sequence[CombinationEntry],
    checks: Sequence[CheckEntry],
    models: Mapping[str, ModelFacts],
    machines: Sequence[Machine],
    answers: Sequence[Recommendation],
) -> ArchitectureMap | None:
    """The map of all miniatures; None where there are none.

    What a GPU and what an emulation said of the same stack stand side by side: they may disagree.
    """
    cells: dict[str, dict[_Stack, int]] = {}
    for index, entry in enumerate(combinations):
        model = entry.axes.get("model", "")
        if model in models and models[model].weights == "miniature":
            gpu = bool(machines[entry.machine].gpus)
            stack = _Stack(entry.axes["backend"], gpu, entry.axes["lmdeploy"], entry.axes["transformers"])
            cells.setdefault(model, {})[stack] = index
    if not cells:
        return None
    stacks = sorted({stack for row in cells.values() for stack in row}, key=_versions, reverse=True)
    stacks.sort(key=lambda each: (each.gpu, each.backend))
    best = {each.model: each for each in reversed(answers) if each.level is not Level.NOTHING}
    rows = [
        ArchitectureRow(
            model=model,
            architecture=models[model].architecture or model,
            title=models[model].title,
            known_models=models[model].known_models,
            level=best[model].level if model in best else Level.NOTHING,
            best=_best(best.get(model)),
            cells=[_cell(found.get(stack), combinations, checks) for stack in stacks],
        )
        for model, found in cells.items()
    ]
    rows.sort(key=lambda row: (row.architecture, row.model))
    return ArchitectureMap(
        limits=LIMITS,
        stacks=[
            ArchitectureStack(
                lmdeploy=each.lmdeploy, transformers=each.transformers, backend=each.backend, gpu=each.gpu
            )
            for each in stacks
        ],
        rows=rows,
    )


def _best(answer: Recommendation | None) -> list[str] | None:
    if answer is None:
        return None
    return [answer.versions.get("lmdeploy", ""), answer.versions.get("transformers", ""), answer.backend]


def _versions(stack: _Stack) -> tuple[object, ...]:
    return (version_key(stack.lmdeploy), version_key(stack.transformers))


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
    agrees = entry.status is Status.PASS or (asked is not None and asked.status is Status.PASS)
    return ArchitectureCell(
        combination=index,
        state=Status.PASS if agrees else entry.status,
        agrees=agrees,
        ratio=_number(compared.get("ratio")),
        reason=None if agrees or entry.reason is None else str(entry.reason),
    )


def _number(value: JsonValue) -> float | None:
    return round(float(value), 2) if isinstance(value, int | float) and not isinstance(value, bool) else None

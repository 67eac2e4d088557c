"""Which checks a combination has to answer in each stage, and what a stage cannot be tried without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.verdict import Stage
from harness.engines import LAUNCHES, Launch, Needs
from harness.matrix.models import CanaryWeights, MiniatureWeights, Quantisation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines import Check
    from harness.engines.launches import LaunchStyle
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec

ASKED_STAGES = tuple(stage for stage in Stage if stage not in {Stage.RESOLVE, Stage.INSTALL})
"""Stages that are answered by probes."""


def checks_of(combination: Combination, spec: ModelSpec, stage: Stage) -> Iterator[Check]:
    """The checks that ``combination`` has to answer to start on ``stage``, in order.

    The stage's verdict is that of the first that does not pass.
    """
    style = launch_style(combination)
    if style.check is not None and style.check.stages[0] is stage and not (style.boot and machine().gpus):
        yield style.check
        if style.only_check:
            return
    if stage is Stage.PREPROCESS and isinstance(spec.weights, MiniatureWeights):
        return  # its words mean nothing; what the engine makes of its image is seen in its logits
    for check in combination.backend.engine.checks:
        silent = Needs.IMPORTS in check.needs and not spec.imports  # a model that imports nothing of its own
        if check.stages[0] is stage and not silent and (stage is not Stage.EMULATE or is_emulated(spec)):
            yield check


def launch_style(combination: Combination) -> LaunchStyle:
    """How the combination's engine is started; a backend that is none of lmdeploy's engines knows one way."""
    engine = combination.backend.engine
    return LAUNCHES[combination.launch if engine.configuration is not None else Launch.LIBRARY]


def is_emulated(spec: ModelSpec) -> bool:
    """Whether the engine's arithmetic is tried on the CPU with this model.

    Only with checkpoints that are small enough for Triton's interpreter: the trained canary, which knows the right
    answer, and miniatures; and only where there is no GPU, on which the engine itself says more.
    """
    canary = isinstance(spec.weights, CanaryWeights) and spec.quantisation is Quantisation.NONE
    return (canary or isinstance(spec.weights, MiniatureWeights)) and not machine().gpus


def needs_gpu(combination: Combination, stage: Stage) -> bool:
    """Whether ``stage`` cannot be tried without a GPU.

    Ways of starting that have a check of their own are tried everywhere: what breaks them comes before the engine
    looks for a GPU, and only an attempt shows that it does not break there.
    """
    return stage is Stage.BOOT and combination.backend.engine.needs_gpu and launch_style(combination).check is None


def needs_weights(combination: Combination, stage: Stage) -> bool:
    """Whether ``stage`` is the first that works on a checkpoint."""
    checks = combination.backend.engine.checks
    return stage is next(check.stages[0] for check in checks if Needs.CHECKPOINT in check.needs)


def cards_of(combination: Combination) -> int:
    """How many GPUs a boot takes."""
    return int(str(combination.settings.get("tp", 1)))

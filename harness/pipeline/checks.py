"""The questions of each stage: who has to answer them, and what their answers depend on.

Two combinations share an answer exactly when everything a question depends on is the same, so that is declared here
and nowhere else. The questions themselves are asked by the probes, inside the tested environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.verdict import Stage
from harness.matrix import Backend, Launch
from harness.matrix.models import CanaryWeights, MiniatureWeights, Quantisation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec

ENGINES = frozenset({Backend.PYTORCH, Backend.TURBOMIND})
ALL = frozenset(Backend)
REFERENCE = frozenset({Backend.TRANSFORMERS})


class Needs(Flag):
    """What a question depends on, beyond the stack and the probes' own code."""

    NOTHING = 0
    BACKEND = auto()
    ARCHITECTURE = auto()
    IMPORTS = auto()
    """The model's own modules."""
    CONFIG = auto()
    """The model's configuration files."""
    CHECKPOINT = auto()
    """The checkpoint's files and the smoke test's prompts."""
    GPU = auto()
    """The machine's GPU and driver, because the answer is blocked without."""
    LAUNCH_SCRIPT = auto()
    """The generated launch script."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question."""

    name: str
    stages: tuple[Stage, ...]
    backends: frozenset[Backend]
    needs: Needs
    launch: Launch | None = None
    """Only for combinations started this way; None: for the ordinary ways."""

    def concerns(self, combination: Combination, spec: ModelSpec) -> bool:
        """Whether the combination has to answer it; a model that imports nothing of its own has nothing to say."""
        if combination.backend not in self.backends or (Needs.IMPORTS in self.needs and not spec.imports):
            return False
        return self.launch is None or self.launch is combination.launch


CHECKS: tuple[Check, ...] = (
    Check("launch-module", (Stage.IMPORT,), ENGINES, Needs.NOTHING, launch=Launch.LEGACY_MODULE),
    Check("vision-builder", (Stage.IMPORT,), ENGINES, Needs.NOTHING),
    Check("engine-modules", (Stage.IMPORT,), ENGINES, Needs.BACKEND | Needs.GPU),
    Check("entry-points", (Stage.IMPORT,), ENGINES, Needs.NOTHING),
    Check("transformers-model", (Stage.IMPORT,), REFERENCE, Needs.ARCHITECTURE),
    Check("model-requirements", (Stage.IMPORT,), ALL, Needs.IMPORTS),
    Check("backend-support", (Stage.CONFIGURE,), ENGINES, Needs.BACKEND | Needs.CONFIG),
    Check("model-config", (Stage.CONFIGURE,), ENGINES, Needs.BACKEND | Needs.CONFIG),
    Check("model-graph", (Stage.CONFIGURE,), frozenset({Backend.PYTORCH}), Needs.CONFIG),
    Check("image-and-prompt", (Stage.PREPROCESS,), ENGINES, Needs.BACKEND | Needs.CHECKPOINT),
    Check("emulation", (Stage.EMULATE,), frozenset({Backend.PYTORCH}), Needs.CHECKPOINT),
    Check(
        "no-backend-config",
        (Stage.BOOT,),
        ENGINES,
        Needs.BACKEND | Needs.CHECKPOINT | Needs.GPU,
        launch=Launch.NO_BACKEND_CONFIG,
    ),
    Check(
        "launch-script",
        (Stage.BOOT,),
        ENGINES,
        Needs.BACKEND | Needs.CHECKPOINT | Needs.GPU | Needs.LAUNCH_SCRIPT,
        launch=Launch.LAUNCH_SCRIPT,
    ),
    Check(
        "server-command",
        (Stage.BOOT,),
        ENGINES,
        Needs.BACKEND | Needs.CHECKPOINT | Needs.GPU,
        launch=Launch.SERVER,
    ),
    Check(
        "two-pass",
        (Stage.BOOT, Stage.SEE, Stage.STRUCTURE),
        ALL,
        Needs.BACKEND | Needs.CHECKPOINT | Needs.GPU,
    ),
)
"""In the order in which they are asked; a stage's verdict is that of its first check that does not pass."""

ASKED_STAGES = (
    Stage.IMPORT,
    Stage.CONFIGURE,
    Stage.PREPROCESS,
    Stage.EMULATE,
    Stage.BOOT,
    Stage.SEE,
    Stage.STRUCTURE,
)
"""Stages that are answered by probes."""


def checks_of(combination: Combination, spec: ModelSpec, stage: Stage) -> Iterator[Check]:
    """The questions that ``combination`` has to answer to start on ``stage``."""
    for check in CHECKS:
        if check.stages[0] is stage and check.concerns(combination, spec):
            if stage is Stage.EMULATE and not is_emulated(spec):
                continue
            if check.launch is Launch.SERVER and machine().gpus:
                continue  # with a GPU the server is really started, and asked over HTTP
            yield check
            if check.launch is Launch.LEGACY_MODULE:
                return  # the module is what is being tested; nothing else of the stage matters to it


def is_emulated(spec: ModelSpec) -> bool:
    """Whether the engine's arithmetic is tried on the CPU with this model.

    Only with checkpoints that are small enough for Triton's interpreter: the trained canary, which knows the right
    answer, and miniatures; and only where there is no GPU, on which the engine itself says more.
    """
    canary = isinstance(spec.weights, CanaryWeights) and spec.quantisation is Quantisation.NONE
    return (canary or isinstance(spec.weights, MiniatureWeights)) and not machine().gpus


def needs_gpu(combination: Combination, stage: Stage) -> bool:
    """Whether ``stage`` cannot be tried without a GPU.

    Ways of starting other than the library's are tried everywhere: what breaks them comes before the engine looks for
    a GPU, and only an attempt shows that it does not break there.
    """
    return stage is Stage.BOOT and combination.backend in ENGINES and combination.launch is Launch.LIBRARY


def needs_weights(combination: Combination, stage: Stage) -> bool:
    """Whether ``stage`` works on a checkpoint."""
    first = Stage.PREPROCESS if combination.backend in ENGINES else Stage.BOOT
    return stage is first

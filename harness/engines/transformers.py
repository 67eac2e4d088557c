"""Plain transformers on the CPU: the reference answer, given inside the same environment."""

from __future__ import annotations

from harness.core.verdict import Stage
from harness.engines.check import MODEL_REQUIREMENTS, TWO_PASS, Check, Needs
from harness.engines.engine import Engine

ENGINE = Engine(
    checks=(
        Check("transformers-model", (Stage.IMPORT,), "engines.transformers:model_class", Needs.ARCHITECTURE),
        MODEL_REQUIREMENTS,
        TWO_PASS,
    ),
)

"""A question put to an environment, and what its answer depends on.

Two combinations share an answer exactly when everything a check needs is the same, so that is declared with the check
and nowhere else. Checks are answered by the probes, inside the tested environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

from harness.core.verdict import Stage


class Needs(Flag):
    """What an answer depends on, beyond the stack and the probes' own code."""

    NOTHING = 0
    BACKEND = auto()
    """The backend, and what its boot imports."""
    ARCHITECTURE = auto()
    IMPORTS = auto()
    """The model's own modules."""
    CONFIG = auto()
    """The model's configuration files."""
    CHECKPOINT = auto()
    """The checkpoint's files and the smoke test's prompts."""
    GPU = auto()
    """The machine's GPU and driver, because the answer is blocked without."""
    SETTINGS = auto()
    """The engine's settings, its share of the GPU among them."""
    ASKED = auto()
    """What the matrix tells the engine."""
    SCRIPT = auto()
    """The script that starts the server."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question."""

    name: str
    stages: tuple[Stage, ...]
    """The first is the one it is asked in; the others it answers along with it."""
    probe: str
    """The function of the probes that answers it: ``engines.imports:engine_modules``."""
    needs: Needs = Needs.NOTHING
    preload: tuple[str, ...] = ("torch",)
    """Modules that a batch of it loads once, before it forks. Beyond importing, they are known to load: the stage below
    passed.
    """


ENGINE_MODULES = Check("engine-modules", (Stage.IMPORT,), "engines.imports:engine_modules", Needs.BACKEND | Needs.GPU)
MODEL_REQUIREMENTS = Check("model-requirements", (Stage.IMPORT,), "engines.imports:model_requirements", Needs.IMPORTS)
BOOTS = Needs.BACKEND | Needs.CHECKPOINT | Needs.GPU | Needs.SETTINGS | Needs.ASKED
TWO_PASS = Check("two-pass", (Stage.BOOT, Stage.SEE, Stage.STRUCTURE), "engines.two_pass:two_pass", BOOTS)

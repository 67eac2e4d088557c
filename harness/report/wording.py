"""What the report's marks and words mean, in one place: the legend, the badges and the empty states read from here."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.comparison import Change
from harness.core.verdict import Reason, Stage, Status
from harness.evidence.levels import Level


class Mark(NamedTuple):
    """A status as the eye meets it."""

    symbol: str
    word: str
    meaning: str
    act: str


STATES: dict[Status, Mark] = {
    Status.PASS: Mark("✓", "pass", "Every stage passed on the machine named.", "Use it; pin its exact stack."),
    Status.BLOCKED: Mark(
        "◐",
        "blocked",
        "This machine lacks what the next stage needs, mostly a GPU; the stages before it passed.",
        "Run the same combination on a machine that has what is missing.",
    ),
    Status.FAIL: Mark(
        "✕", "fail", "A stage ran and failed; the reason says why.", "Follow the remedy, or choose another."
    ),
    Status.INFRA: Mark(
        "!",
        "infrastructure",
        "Network, disk, registry or a kill from outside; says nothing about the versions.",
        "Run it again when the trouble is over.",
    ),
    Status.SKIPPED: Mark(
        "—", "skipped", "Excluded in the matrix, with the reason given there.", "Edit matrix.yaml to run it."
    ),
}

LEVELS: dict[Level, str] = {
    Level.SERVED: "This model's own weights, on this backend and exactly these packages, on a GPU if it needs one.",
    Level.STAND_IN: "The same with another model of the same architecture and quantisation: a canary or a miniature.",
    Level.BESIDE: "As one of these, where some of the packages that ran were others; it says which.",
    Level.EMULATED: "The engine's arithmetic on exactly these packages, on a CPU.",
    Level.CLIMBED: "Passed up to a stage on exactly these packages; whether an engine answers is not shown.",
    Level.PREDICTED: "The scan foresees it from the wheels' sources; nothing ran.",
    Level.NOTHING: "Nothing speaks for it.",
}
"""What each level of evidence means."""
LEVEL_WORDS: dict[Level, str] = {level: str(level) for level in Level} | {
    Level.CLIMBED: "passed up to a stage",
    Level.NOTHING: "nothing",
}

LEVEL_SHORT: dict[Level, str] = LEVEL_WORDS | {Level.BESIDE: "served beside", Level.CLIMBED: "up to a stage"}
"""The same where there is little room."""


def look_of(level: Level) -> str:
    """The look of a level's badge."""
    return "pass" if level.served else "fail" if level is Level.NOTHING else "partial"


def heading_of(level: Level) -> str:
    """What an answer of that level is introduced as."""
    return "Use this stack" if level.served else "No stack to recommend" if level is Level.NOTHING else "Try this stack"


EMULATED = "emulated"
"""What a cell calls the stage ``emulate``: what passed it, or failed there, met no GPU."""


def stage_word(stage: Stage | None) -> str:
    """The stage's name in a cell."""
    return EMULATED if stage is Stage.EMULATE else str(stage or "")


FAMILIES: dict[Reason, str] = {
    Reason.RESOLVER_CONFLICT: "The packages' own requirements contradict each other.",
    Reason.NO_COMPATIBLE_WHEEL: "No wheel fits this python and platform.",
    Reason.MISSING_DEPENDENCY: "A package is needed that nothing declares.",
    Reason.SYMBOL: "A name that is imported is gone, or not there yet, in that version.",
    Reason.ENTRYPOINT: "A module or command moved, or is called in a way it does not support.",
    Reason.VERSION_GATE: "The package itself refuses that version.",
    Reason.NATIVE_LIBRARY: "A shared library is missing.",
    Reason.BINARY_ABI: "Compiled parts were built against another version.",
    Reason.DRIVER_OR_GPU: "No usable GPU or driver.",
    Reason.GPU_ARCH: "The GPU's generation is not among those the wheels carry.",
    Reason.ARCHITECTURE: "The engine does not know the model's architecture.",
    Reason.CONFIG_DRIFT: "A configuration class lost or renamed what is read from it.",
    Reason.PROCESSOR_DRIFT: "A tokenizer or processor changed under the engine.",
    Reason.QUANTISATION: "The engine does not load that quantisation.",
    Reason.ATTENTION_OR_BUILD: "An attention kernel or the compiler it needs is missing.",
    Reason.WEIGHTS: "The weights are not there, or broken.",
    Reason.HUB_NETWORK: "The model hub could not be reached.",
    Reason.OUT_OF_MEMORY: "Not enough memory.",
    Reason.PLATFORM: "The operating system or platform does not allow it.",
    Reason.SERVING: "The server came up and behaves otherwise than asked.",
    Reason.BACKEND_SUBSTITUTED: "One engine was asked for, another answered.",
    Reason.WRONG_ANSWER: "It answered, and the answer is wrong, empty, repeating or not reproducible.",
    Reason.TIMEOUT: "It took longer than allowed and was ended.",
    Reason.CRASH: "The process died by a signal, or without a record.",
    Reason.EXCLUDED: "Left out in the matrix.",
    Reason.UNKNOWN: "No known pattern matched.",
}

CHANGES: dict[Change, str] = {
    Change.REGRESSED: "fails at a stage that it passed before, or is slower or larger than noise and limit allow",
    Change.FIXED: "failed, and gets past that stage now",
    Change.SAME: "as before",
    Change.OTHER_REASON: "failed and fails, differently",
    Change.NEW: "nothing was known before, or not of this stage",
    Change.GONE: "not there any more",
    Change.NOT_TESTED: "could not get as far as before on this machine",
    Change.STALE: "fails without the change as well, so nothing is known of the change",
    Change.FLAKY: "failed, and then did not, in a fresh environment",
    Change.INFRASTRUCTURE: "network, disk, killed from outside: says nothing about versions",
}

"""What can be said of a combination: a closed set of statuses, stages and reasons, with one string form.

A verdict reads ``pass``, ``skipped``, ``pass/boot`` or, for everything that is not a pass,
``<status>/<stage>/<reason>`` with an optional detail in parentheses::

    fail/import/symbol-removed-or-not-yet-added(transformers.BeamSearchScorer)
    blocked/boot/driver-or-gpu-unavailable

The string is canonical: ``Verdict.parse(str(verdict)) == verdict``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeVar

E = TypeVar("E", bound=StrEnum)


class Status(StrEnum):
    """How a stage or a whole combination ended. Nothing else exists; a stage not reached has no status."""

    PASS = "pass"  # noqa: S105 - a status, not a password
    FAIL = "fail"
    BLOCKED = "blocked"
    """This machine lacks what the stage needs (a GPU, weights, an interpreter)."""
    INFRA = "infra"
    """Network, disk, registry, killed from outside: says nothing about versions."""
    SKIPPED = "skipped"
    """Excluded in the matrix, with its reason."""


class Stage(StrEnum):
    """The stages, in the order in which they are tried, each with what a pass of it says."""

    passed: str

    RESOLVE = "resolve", "uv finds a lock on this python, as of this date."
    INSTALL = "install", "The lock installs."
    IMPORT = "import", "The modules load that a boot will load, and the model's own requirements."
    CONFIGURE = "configure", "Engine configuration, model configuration, architecture and quantisation support agree."
    PREPROCESS = "preprocess", "The engine's own image and chat-template path turns messages into model input."
    EMULATE = "emulate", "Emulated: the engine's arithmetic on the CPU agrees with transformers; says nothing of a GPU."
    BOOT = "boot", "The engine comes up with the model, and it is the backend that was asked for."
    SEE = "see", "Pass 1, image or text to text: the answer is right, or the logits of a miniature are, twice."
    STRUCTURE = "structure", "Pass 2, text to JSON: the facts are right, or the logits of a miniature are, twice."

    def __new__(cls, word: str, passed: str = "") -> Self:
        """A stage is its word."""
        stage = str.__new__(cls, word)
        stage._value_ = word
        stage.passed = passed
        return stage

    @property
    def position(self) -> int:
        """Its place among the stages, 0 for the first."""
        return list(Stage).index(self)


class Reason(StrEnum):
    """Families of causes. Every non-pass belongs to exactly one."""

    RESOLVER_CONFLICT = "resolver-conflict"
    NO_COMPATIBLE_WHEEL = "no-compatible-wheel"
    MISSING_DEPENDENCY = "missing-dependency"
    SYMBOL = "symbol-removed-or-not-yet-added"
    ENTRYPOINT = "entrypoint-moved-or-misused"
    VERSION_GATE = "version-gate"
    NATIVE_LIBRARY = "native-library-missing"
    BINARY_ABI = "binary-abi-mismatch"
    DRIVER_OR_GPU = "driver-or-gpu-unavailable"
    GPU_ARCH = "gpu-arch-unsupported"
    ARCHITECTURE = "architecture-unsupported"
    CONFIG_DRIFT = "config-schema-drift"
    PROCESSOR_DRIFT = "tokenizer-processor-drift"
    QUANTISATION = "quantisation-unsupported"
    ATTENTION_OR_BUILD = "attention-or-build-toolchain"
    WEIGHTS = "weights-missing-or-corrupt"
    HUB_NETWORK = "hub-network"
    OUT_OF_MEMORY = "out-of-memory"
    PLATFORM = "platform-limits"
    SERVING = "serving-stack-semantics"
    BACKEND_SUBSTITUTED = "backend-substituted"
    """Asked for one engine, got another."""
    WRONG_ANSWER = "wrong-answer"
    """Booted, answered, and the answer is wrong, empty, repeating or not reproducible."""
    TIMEOUT = "timeout"
    CRASH = "crash"
    """Ended by a signal, or without writing a record."""
    EXCLUDED = "excluded"
    """Left out in the matrix; the detail is the matrix's own reason."""
    UNKNOWN = "unknown"


_FORM = re.compile(
    r"(?P<status>[a-z]+)(?:/(?P<stage>[a-z]+)(?:/(?P<reason>[a-z-]+)(?:\((?P<detail>.*)\))?)?)?", re.DOTALL
)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""What a terminal obeys instead of showing it: control characters, and marks that turn the direction of writing."""


def inert(text: str) -> str:
    """``text`` without what a terminal obeys, for one line of it."""
    return _UNSAFE.sub(" ", text)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One status with the stage it was decided at and why.

    ``stage`` is None for a combination skipped before it started or passed as a whole;
    ``reason`` is None exactly when the status is ``pass``.
    """

    status: Status
    stage: Stage | None = None
    reason: Reason | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if (self.reason is None) != (self.status is Status.PASS):
            raise ValueError(f"a {self.status} verdict {'takes no' if self.reason else 'needs a'} reason")
        if self.reason is not None and self.stage is None:
            raise ValueError("a verdict with a reason names its stage")
        if self.detail and self.reason is None:
            raise ValueError("a detail belongs to a reason")
        clean = inert(self.detail).strip()
        object.__setattr__(self, "detail", clean)

    def __str__(self) -> str:
        parts = [str(self.status)]
        if self.stage is not None:
            parts.append(str(self.stage))
        if self.reason is not None:
            parts.append(f"{self.reason}({self.detail})" if self.detail else str(self.reason))
        return "/".join(parts)

    @classmethod
    def parse(cls, text: str) -> Verdict:
        """The verdict a string stands for.

        Raises:
            ValueError: the text is not a verdict; the message names the part and what is allowed there.
        """
        return cls(*_parts(text))


@dataclass(frozen=True, slots=True)
class Expectation:
    """The verdict a matrix expects, as far as it cares to say.

    ``pass``, ``fail``, ``fail/import``, ``fail/import/<reason>`` and ``fail/import/<reason>(<detail>)`` are all
    expectations; what is left out is allowed to be anything.
    """

    status: Status
    stage: Stage | None = None
    reason: Reason | None = None
    detail: str = ""

    def __str__(self) -> str:
        tail = f"{self.reason}({self.detail})" if self.detail else self.reason
        return "/".join(str(part) for part in (self.status, self.stage, tail) if part is not None)

    @classmethod
    def parse(cls, text: str) -> Expectation:
        """The expectation a string stands for.

        Raises:
            ValueError: the text is not one; the message names the part and what is allowed there.
        """
        return cls(*_parts(text))

    def met_by(self, verdict: Verdict) -> bool:
        """Whether ``verdict`` is one of those this expectation allows."""
        return (
            self.status is verdict.status
            and self.stage in (None, verdict.stage)
            and self.reason in (None, verdict.reason)
            and self.detail in ("", verdict.detail)
        )


def _parts(text: str) -> tuple[Status, Stage | None, Reason | None, str]:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a verdict; write e.g. 'pass' or 'fail/import/{Reason.SYMBOL}'")
    return (
        _member(Status, match["status"], "status"),
        _member(Stage, match["stage"], "stage") if match["stage"] else None,
        _member(Reason, match["reason"], "reason") if match["reason"] else None,
        match["detail"] or "",
    )


def _member(kind: type[E], text: str, part: str) -> E:
    try:
        return kind(text)
    except ValueError:
        allowed = ", ".join(kind)
        raise ValueError(f"{text!r} is not a {part}; one of: {allowed}") from None

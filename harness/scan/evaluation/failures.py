"""What goes wrong on a path through the engine, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """What a finding is about."""

    NAME = "name-missing"
    MODULE = "module-missing"
    ATTRIBUTE = "attribute-missing"
    KEY = "key-missing"
    KEYWORD = "keyword-refused"
    MODEL_TYPE = "model-type-unknown"
    ARCHITECTURE = "architecture-unsupported"
    QUANTISATION = "quantisation-unsupported"
    REQUIREMENT = "requirement-undeclared"
    RAISES = "raises"
    TORCH = "torch-too-old"
    DECLARED = "declared-range"
    RESOLVER = "resolver-refuses"
    PYTHON = "no-wheel-for-python"


@dataclass(frozen=True, slots=True)
class Failure:
    """Something on the path that does not give what is asked of it."""

    kind: Topic
    module: str
    """What is imported or read from: a module, or the module of a class."""
    name: str
    """The name, or ``Class.attribute``; empty when the module itself is meant."""
    error: str
    """The exception Python raises, as far as clauses that catch it tell."""
    consumer: str
    """The module that asks."""
    file: str
    line: int
    guarded: str = ""
    """Why it need not end anything: ``try``, ``if``; empty when it certainly does."""
    function: str = ""
    """The function it happens in; empty at the module's own level."""
    chain: tuple[str, ...] = ()
    """Modules that lead to the consumer, the entry first."""

    @property
    def symbol(self) -> str:
        """``transformers.processing_utils.ImagesKwargs``."""
        return f"{self.module}.{self.name}" if self.name else self.module

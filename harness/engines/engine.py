"""What is known of a backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from harness.engines.check import Check
    from harness.engines.settings import Settings


@dataclass(frozen=True, slots=True)
class Configuration:
    """An engine's configuration class in lmdeploy, and what the smoke test says in it."""

    backend: str
    """lmdeploy's name of the engine."""
    name: str
    smoke: Settings
    """Enough for both passes several times, and little of a card. Left out where a version has no such field."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """The engine's ``model_format`` by quantisation method."""

    def settings(self, quantisation: str, asked: Mapping[str, object] = MappingProxyType({})) -> Settings:
        """What the engine has to be told for a model, whatever card it runs on.

        Raises:
            ValidationError: it has no such setting, or not of that value.
        """
        told = {"model_format": self.formats[quantisation]} if quantisation in self.formats else {}
        return type(self.smoke).model_validate({**told, **asked})


@dataclass(frozen=True, slots=True)
class Architectures:
    """Where a version of lmdeploy lists what the engine can run."""

    module: str
    table: str
    fallback: str = ""
    """What happens to an architecture that is not listed, beyond the failure."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One backend: all that the host side knows of it. Its probes are in ``probes/engines/NAME.py``."""

    checks: tuple[Check, ...]
    """What a combination on it has to answer, in order."""
    needs_gpu: bool = False
    """Whether it boots on nothing else."""
    modules: tuple[str, ...] = ()
    """What a boot imports, in order, as far as a version has it."""
    vision_modules: tuple[str, ...] = ()
    """What it imports for a model that sees."""
    own_modules: tuple[str, ...] = ()
    """What the engine itself imports, after those. Where there is no driver, this goes over stand-ins for it."""
    optional_modules: tuple[str, ...] = ()
    """Imported by some requests only (guided decoding): reported, never a failure of the boot."""
    configuration: Configuration | None = None
    """None: lmdeploy has no part in it, and nothing to launch."""
    architectures: Architectures | None = None
    """None: whatever transformers has."""
    loads_vision: bool = False
    """Whether the model's vision part is loaded beside the engine, by lmdeploy's class for it."""
    own_files: tuple[str, ...] = ()
    """Files of lmdeploy's wheel that no other backend loads, as patterns."""
    log_words: tuple[str, ...] = ()
    """Words of a log that are said of this engine and of nothing else."""
    error_line: str = ""
    """What marks a line that its compiled code stops with, as an expression."""

    def told(self) -> dict[str, JsonValue]:
        """What the probes are told of it."""
        return {
            "needs_gpu": self.needs_gpu,
            "modules": [*self.modules, *self.vision_modules],
            "own_modules": list(self.own_modules),
            "optional_modules": list(self.optional_modules),
            "configuration": self.configuration.name if self.configuration is not None else None,
        }

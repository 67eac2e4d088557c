"""The backends. A new one is a module beside this one, its probes in ``probes/engines``, and its two lines here."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.engines import pytorch, transformers, turbomind
from harness.engines.launches import LAUNCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.check import Check
    from harness.engines.engine import Configuration, Engine


class Backend(StrEnum):
    """Who runs the model. ``transformers`` is the reference answer, given inside the same environment."""

    PYTORCH = "pytorch"
    TURBOMIND = "turbomind"
    TRANSFORMERS = "transformers"

    @property
    def engine(self) -> Engine:
        """What is known of it."""
        return ENGINES[self]


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        Backend.PYTORCH: pytorch.ENGINE,
        Backend.TURBOMIND: turbomind.ENGINE,
        Backend.TRANSFORMERS: transformers.ENGINE,
    }
)


def configuration_of(backend: str) -> Configuration | None:
    """Of the engine of that name; None where lmdeploy has no part in it, or the name is none that is known."""
    engine = ENGINES.get(backend)
    return engine.configuration if engine is not None else None


CHECKS: Mapping[str, Check] = MappingProxyType(
    {check.name: check for style in LAUNCHES.values() if (check := style.check) is not None}
    | {check.name: check for engine in ENGINES.values() for check in engine.checks}
)
"""Every check by name."""

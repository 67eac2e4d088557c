"""What the module of a backend offers. It is found by the backend's name: ``engines/NAME.py``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Dict, Protocol

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request
    from ..smoke.question import Question, Reply


class Booted(Protocol):
    """A model that can be asked."""

    def ask(self, question: Question) -> Reply:
        """Answer greedily."""

    def close(self) -> None:
        """Let go of the model and of every process it started."""


class Backend(Protocol):
    """Such a module. All but ``boot`` is asked only of lmdeploy's engines."""

    def boot(self, request: Request, events: Events) -> Booted:
        """Bring the model up; facts: ``boot``."""

    def prepare(self, events: Events, seconds: Dict[str, float]) -> bool:
        """Make the engine's modules importable on this machine; True when nothing had to be stood in for."""

    def require_support(self, request: Request, folder: str, facts: Dict[str, Any], events: Events) -> None:
        """Fill in what this version's lists say of the model, and fail where it would not run."""

    def configuration(self, request: Request, folder: str, events: Events) -> Dict[str, Any]:
        """The engine's own configuration of the model."""


def engine_module(name: str) -> Backend:
    """The module in the file of that name."""
    found: Any = importlib.import_module(f".{name}", __package__)
    return found  # type: ignore[no-any-return]  # a module, whose functions are the protocol's methods

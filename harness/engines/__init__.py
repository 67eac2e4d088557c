"""What the host side knows of each backend: one module a backend, and one dictionary of them.

Imports only ``core`` and the rules that it shares with the ``probes``.
"""

from __future__ import annotations

from harness.engines.backends import CHECKS, ENGINES, Backend, configuration_of
from harness.engines.check import Check, Needs
from harness.engines.engine import Engine
from harness.engines.launches import LAUNCHES, Launch

__all__ = ["CHECKS", "ENGINES", "LAUNCHES", "Backend", "Check", "Engine", "Launch", "Needs", "configuration_of"]

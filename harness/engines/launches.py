"""The ways to start an engine, and what is known of each. A new one is its two entries here.

A way that is a script is tried by running it up to where its server would listen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.core.verdict import Stage
from harness.engines.check import BOOTS, Check, Needs
from harness.engines.launch_script import command_script, launch_script, script_without_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.engine import Configuration


class Launch(StrEnum):
    """How the engine is started."""

    LIBRARY = "library"
    """An engine configuration is made in Python and handed over."""
    SERVER = "server"
    """The command line's API server."""
    LEGACY_MODULE = "legacy-module"
    """``python -m lmdeploy.serve.api_server``, as old instructions have it."""
    NO_BACKEND_CONFIG = "no-backend-config"
    """Serving without an engine configuration."""
    LAUNCH_SCRIPT = "launch-script"
    """The generated Python script, which makes the engine configuration explicitly."""


@dataclass(frozen=True, slots=True)
class LaunchStyle:
    """One way to start."""

    check: Check | None = None
    """Tries it as far as that goes without a GPU, and is asked before the stage's other checks."""
    script: Callable[[Configuration, str, Mapping[str, object]], str] | None = None
    """For a check that runs one: the text, with a ``main``, that serves a model on an engine with these settings."""
    tells: bool = True
    """Whether the engine can be told settings this way."""
    only_check: bool = False
    """Whether its check is all that the stage asks."""
    boot: str = ""
    """The probes' module that boots the model this way where there is a GPU, instead of ``check`` and of the backend's
    own module."""
    advice: str = ""
    """In words, as a remedy."""
    instead: Launch | None = None
    """What to start with where this way is wrong."""


def _runs_script(name: str) -> Check:
    return Check(name, (Stage.BOOT,), "engines.launches:script", BOOTS | Needs.SCRIPT)


LAUNCHES: Mapping[Launch, LaunchStyle] = MappingProxyType(
    {
        Launch.LIBRARY: LaunchStyle(),
        Launch.SERVER: LaunchStyle(
            check=_runs_script("server-command"),
            script=command_script,
            boot="server",
            advice="start with `lmdeploy serve api_server`",
        ),
        Launch.LEGACY_MODULE: LaunchStyle(
            check=Check("launch-module", (Stage.IMPORT,), "engines.entry_points:launch_module"),
            only_check=True,
            tells=False,
            instead=Launch.SERVER,
        ),
        Launch.NO_BACKEND_CONFIG: LaunchStyle(
            check=_runs_script("no-backend-config"),
            script=lambda configuration, model, _settings: script_without_configuration(configuration, model),
            tells=False,
            instead=Launch.LAUNCH_SCRIPT,
        ),
        Launch.LAUNCH_SCRIPT: LaunchStyle(
            check=_runs_script("launch-script"),
            script=launch_script,
            advice="start with the generated launch script, which makes the engine configuration",
        ),
    }
)

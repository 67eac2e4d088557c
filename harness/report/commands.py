"""Commands to copy: install exactly what was tested, and launch it with the settings that ran."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.core.program import renamed
from harness.engines import Launch, configuration_of
from harness.engines.launch_script import question_in_python, server_command
from harness.evidence.settings import launch_settings
from harness.report.model import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.evidence.stacks import Knowledge, Known

INSTALL = "Install exactly what was tested"


def commands_for(knowledge: Knowledge, known: Known, gpu_gib: float | None, lock_file: str) -> list[Command]:
    """Install, launch, and the same from Python; the reference backend has nothing of LMDeploy's to launch.

    Args:
        knowledge: everything that is known.
        known: the stack.
        gpu_gib: memory of the target's card.
        lock_file: the stack's lock, from where the commands are run; empty: nobody kept it.
    """
    commands = [*_install(known, lock_file)]
    configuration = configuration_of(known.backend)
    if configuration is not None:
        model = known.subject.hub_id or f"PATH/TO/{known.subject.name}"
        settings = launch_settings(knowledge, known, gpu_gib).fields
        ran = {each.sighting.launch for each in known.shown if each.exact and each.level.served}
        commands += [
            Command(
                label=f"Launch the server{_as_it_ran(str(Launch.SERVER) in ran, known)}",
                text=server_command(configuration, model, settings),
            ),
            Command(
                label=f"Or from Python{_as_it_ran(str(Launch.LIBRARY) in ran, known)}",
                text=question_in_python(configuration, model, settings),
            ),
        ]
    best = known.best
    if best is not None:
        commands.append(Command(label="Reproduce this verdict", text=renamed(best.sighting.record.command)))
    return commands


def _as_it_ran(ran: bool, known: Known) -> str:
    if ran:
        return ", as it ran"
    return " (not started this way on this stack)" if known.level.served else " (not run on any machine)"


def requirements(packages: Mapping[str, str]) -> str:
    """The whole stack as a requirements file."""
    return "".join(f"{name}=={version}\n" for name, version in packages.items())


def _install(known: Known, lock_file: str) -> list[Command]:
    if not known.packages:
        return []
    python = shlex.quote(known.python or "3.11")
    environment = f"uv venv --python {python} .venv && source .venv/bin/activate"
    unlike = known.best is not None and known.best.differences
    label = "Install its lock (what ran differed, see beside)" if unlike else INSTALL
    if not lock_file:
        return [Command(label=label, text=_by_name(environment, known.packages))]
    return [
        Command(label=label, text=f"{environment}\nuv pip sync {shlex.quote(lock_file)}"),
        Command(
            label="The same without the lock file: every package by name", text=_by_name(environment, known.packages)
        ),
    ]


def _by_name(environment: str, packages: Mapping[str, str]) -> str:
    """The stack for a reader who has nothing but this page; without the lock's hashes."""
    lines = requirements(packages)
    if len(lines.split()) != len(packages):  # a name with a space or a line end: no lock has one
        return f"{environment}\nuv pip install --no-deps {' '.join(shlex.quote(line) for line in lines.splitlines())}"
    return f"{environment}\nuv pip install --no-deps -r /dev/stdin <<'PACKAGES'\n{lines}PACKAGES"

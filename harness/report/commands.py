"""Commands to copy: install exactly what was tested, and launch it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.engines import configuration_of
from harness.engines.launch_script import question_in_python, server_command
from harness.engines.settings import settings_in
from harness.report.model import Command

if TYPE_CHECKING:
    from harness.report.model import CombinationEntry, ModelFacts, Stack

INSTALL = "Install exactly what was tested"


def commands_for(entry: CombinationEntry, stack: Stack | None, facts: ModelFacts | None, locks: str) -> list[Command]:
    """Install, launch, and the same from Python; the reference backend has nothing of LMDeploy's to launch."""
    commands = [*_install(entry, stack, locks)]
    configuration = configuration_of(entry.axes.get("backend", ""))
    if configuration is not None:
        model = (facts.hub_id if facts else None) or f"PATH/TO/{entry.axes.get('model', 'MODEL')}"
        asked = settings_in(entry.axes.get("engine", ""))
        needed = configuration.settings((facts.quantisation if facts else None) or "", asked).fields
        python = question_in_python(configuration, model, {"session_len": 4096, **needed})
        commands += [
            Command(label="Launch the server", text=server_command(configuration, model, needed)),
            Command(label="Or from Python", text=python),
        ]
    commands.append(Command(label="Reproduce this verdict", text=entry.command))
    return commands


def requirements(stack: Stack) -> str:
    """The whole stack as a requirements file."""
    return "".join(f"{name}=={version}\n" for name, version in stack.packages.items())


def _install(entry: CombinationEntry, stack: Stack | None, locks: str) -> list[Command]:
    if stack is None:
        return []
    python = shlex.quote(entry.axes.get("python", "3.11"))
    environment = f"uv venv --python {python} .venv && source .venv/bin/activate"
    label = "Install its lock (what ran differed, see beside)" if entry.differences else INSTALL
    if stack.lock is None or not locks:
        return [Command(label=label, text=_by_name(environment, stack))]
    lock = shlex.quote(f"{locks}/{stack.lock}/pylock.toml")
    return [
        Command(label=label, text=f"{environment}\nuv pip sync {lock}"),
        Command(label="The same without the lock file: every package by name", text=_by_name(environment, stack)),
    ]


def _by_name(environment: str, stack: Stack) -> str:
    """The stack for a reader who has nothing but this page; without the lock's hashes."""
    lines = requirements(stack)
    if len(lines.split()) != len(stack.packages):  # a name with a space or a line end: no lock has one
        return f"{environment}\nuv pip install --no-deps {' '.join(shlex.quote(line) for line in lines.splitlines())}"
    return f"{environment}\nuv pip install --no-deps -r /dev/stdin <<'PACKAGES'\n{lines}PACKAGES"

"""Commands to copy: install exactly what was tested, and launch it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.report.model import Command

if TYPE_CHECKING:
    from harness.report.model import Combination, ModelFacts, Stack

ENGINES = {"pytorch": "PytorchEngineConfig", "turbomind": "TurbomindEngineConfig"}
"""LMDeploy's configuration class of each engine."""


INSTALL = "Install exactly what was tested"


def commands_for(entry: Combination, stack: Stack | None, facts: ModelFacts | None, locks: str) -> list[Command]:
    """Install, launch, and the same from Python; the reference backend has nothing of LMDeploy's to launch."""
    commands = [*_install(entry, stack, locks)]
    backend = entry.axes.get("backend", "")
    if backend in ENGINES:
        model = (facts.hub_id if facts else None) or f"PATH/TO/{entry.axes.get('model', 'MODEL')}"
        quantised = "awq" in ((facts.quantisation if facts else None) or "")
        commands += [_launch(backend, model, quantised), _from_python(backend, model, quantised)]
    commands.append(Command(label="Reproduce this verdict", text=entry.command))
    return commands


def requirements(stack: Stack) -> str:
    """The whole stack as a requirements file."""
    return "".join(f"{name}=={version}\n" for name, version in stack.packages.items())


def _install(entry: Combination, stack: Stack | None, locks: str) -> list[Command]:
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


def _launch(backend: str, model: str, quantised: bool) -> Command:
    options = " --model-format awq" if quantised and backend == "turbomind" else ""
    return Command(
        label="Launch the server",
        text=f"lmdeploy serve api_server {shlex.quote(model)} --backend {backend}{options} --server-port 23333",
    )


def _from_python(backend: str, model: str, quantised: bool) -> Command:
    config = ENGINES[backend]
    options = 'session_len=4096, model_format="awq"' if quantised and backend == "turbomind" else "session_len=4096"
    return Command(
        label="Or from Python",
        text=f"""from lmdeploy import {config}, pipeline

if __name__ == "__main__":  # the engine starts processes of its own
    config = {config}({options})
    pipe = pipeline({model!r}, backend_config=config)
    image = {{"type": "image_url", "image_url": {{"url": "photo.jpg"}}}}
    question = {{"type": "text", "text": "What do you see?"}}
    # The image comes before the text; the order changes the answer.
    print(pipe([{{"role": "user", "content": [image, question]}}]).text)
""",
    )

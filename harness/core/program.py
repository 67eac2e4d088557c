"""What the program is called, and how whoever reads a record starts the same one."""

from __future__ import annotations

import json
import shlex
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

from harness import __version__

NAME = "lmdeploy-harness"
"""The distribution and its one command. A stranger's package on the index is called ``harness``."""


def command(*arguments: str) -> str:
    """The command line that starts the harness that is running, wherever it was installed from."""
    return shlex.join([*_start(), *arguments])


def published(*arguments: str) -> str:
    """The command line that starts this version of the published harness, on any machine."""
    return shlex.join(["uvx", f"{NAME}@{__version__}", *arguments])


def renamed(text: str) -> str:
    """A command line of a record, with the name that the program has by now."""
    return text.replace("uvx --from . harness ", f"uvx --from . {NAME} ", 1)


@cache
def _start() -> list[str]:
    try:
        told = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return ["uvx", "--from", ".", NAME]  # straight from a clone
    if told is None:
        return ["uvx", NAME]
    origin = json.loads(told)
    if "dir_info" in origin:
        return ["uvx", "--from", ".", NAME]  # a clone's place on this machine is nobody else's concern
    if "vcs_info" in origin:
        revision = origin["vcs_info"]["commit_id"]
        return ["uvx", "--from", f"git+{origin['url']}@{revision}", NAME]
    return ["uvx", NAME]

"""The files that ``init`` writes, as text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from packaging.version import Version
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from harness.core.errors import HarnessError
from harness.core.files import read_text
from harness.core.program import NAME, published
from harness.engines import ENGINES
from harness.matrix.project import BASELINE, MATRIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.adopt.look import Lock, Repository

WORKFLOW = f".github/workflows/{NAME}.yml"
HOOKS = ".pre-commit-config.yaml"
IGNORED = ".gitignore"
PROJECT = "pyproject.toml"
_SEEING = "canary"
_READING = "qwen3"
"""A model of text alone: of all architectures the one that the most versions know."""
_HELPER = "qwen-vl-utils"
_HELPED = Version("0.16")
"""Before it lmdeploy takes a package for Qwen2-VL's images that it does not ask for itself."""


class NothingToTest(HarnessError, LookupError):  # noqa: N818 - reads as what it says of the repository
    """No file here says that lmdeploy is deployed; the message says which were looked at."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it will be."""

    path: Path
    text: str
    what: str
    """``new``, ``added to`` or ``left as it is``."""
    why: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything is written."""
        return self.what != KEPT


NEW, ADDED, KEPT = "new", "added to", "left as it is"


def matrix_yaml(found: Repository) -> str:
    """A matrix of a dozen lines."""
    lines = [
        "# What this project deploys, tested before a bump is merged. Next: plan, run, baseline, gate.",
        '# Other versions, models and engine settings: "A stack of your own" in the harness\'s documentation.',
        "version: 1",
        "include:",
    ]
    for lock in found.locks:
        for name, value in _entry(lock, found).items():
            lead = "  - " if name == "lock" else "    "
            note = "  # nothing here says it; write the Python that it runs on" if name == "python" else ""
            lines.append(f"{lead}{name}: {_yaml(value)}{note}")
    return "\n".join(lines) + "\n"


def matrix_toml(found: Repository) -> str:
    """The same as a table of ``pyproject.toml``."""
    lines = ["", f"[tool.{NAME}]", "version = 1"]
    for lock in found.locks:
        lines += ["", f"[[tool.{NAME}.include]]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in _entry(lock, found).items()]
    return "\n".join(lines) + "\n"


def workflow(found: Repository, matrix: str) -> str:
    """A workflow that gates every change of what is deployed."""
    watched = json.dumps(sorted({*_files_of(found), matrix, BASELINE}))
    return f"""\
# Gates every change of what this project deploys: {NAME} runs what the change touches, and compares it with
# {BASELINE}. Runners without a GPU go as far as they can, the pytorch engine emulated. Nothing here needs a secret.
name: {NAME}

on:
  pull_request:
    paths: {watched}

permissions:
  contents: read

concurrency:
  group: {NAME}-${{{{ github.ref }}}}
  cancel-in-progress: true

jobs:
  gate:
    runs-on: ubuntu-latest
    timeout-minutes: 120
    steps:
      - uses: actions/checkout@v5
        with: {{fetch-depth: 0, persist-credentials: false}}
      - uses: actions/setup-python@v6
        with: {{python-version: "3.12"}}
      - run: pip install uv
      - name: Gate
        env:
          BASE: origin/${{{{ github.base_ref }}}}
        # 3 is "nothing to do": the change touches no combination, so there is nothing against it.
        run: |
          code=0
          {published("gate")} --from-diff "$BASE" --out gate || code=$?
          if [ "$code" -ne 3 ]; then exit "$code"; fi
      - uses: actions/upload-artifact@v5
        if: ${{{{ !cancelled() }}}}
        with: {{name: {NAME}, path: gate, if-no-files-found: ignore}}
"""


def hook(found: Repository) -> CommentedMap:
    """A hook that scans the project's own code against its lock, in seconds."""
    lock = ("--lock", found.locks[0].name) if found.locks else ()
    command = published("scan", *(part for each in found.code for part in ("--code", each)), *lock)
    made = CommentedMap({"id": NAME, "name": f"{NAME} scan", "entry": command, "language": "system"})
    made["types"] = CommentedSeq(["python"])
    made["pass_filenames"] = False
    return CommentedMap({"repo": "local", "hooks": CommentedSeq([made])})


def with_hook(file: Path, found: Repository) -> Written:
    """The configuration of pre-commit with the hook, everything else left as it is."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    before = read_text(file) if file.is_file() else ""
    if f"id: {NAME}" in before:
        return Written(file, before, KEPT, "it has the hook")
    content = yaml.load(before) if before.strip() else CommentedMap()
    content.setdefault("repos", CommentedSeq()).append(hook(found))
    text = StringIO()
    yaml.dump(content, text)
    return Written(file, text.getvalue(), ADDED if before else NEW)


def _entry(lock: Lock, found: Repository) -> dict[str, str | list[str]]:
    entry: dict[str, str | list[str]] = {"lock": lock.name}
    entry |= {name: list(value) for name, value in (("groups", lock.groups), ("extras", lock.extras)) if value}
    if not lock.read_python:
        entry["python"] = lock.python
    backends = found.backends or [name for name, engine in ENGINES.items() if engine.configuration is not None]
    entry["backend"] = backends[0] if len(backends) == 1 else sorted(backends)
    models = found.models or [_stand_in(lock)]
    entry["model"] = models[0] if len(models) == 1 else models
    return entry


def _stand_in(lock: Lock) -> str:
    """A model for a project that names none: one that sees, unless its stack cannot serve that one."""
    whole, helped = lock.deployed.complete, Version(lock.deployed.versions["lmdeploy"]) >= _HELPED
    has = any(re.match(rf"{_HELPER}\b", each) for each in lock.deployed.requirements)
    return _SEEING if helped or has or not whole else _READING


def _yaml(value: str | list[str]) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return value if re.fullmatch(r"[A-Za-z][\w./-]*", value) else json.dumps(value)


def _files_of(found: Repository) -> Sequence[str]:
    """Files whose change may change what is deployed."""
    named = [each.name for each in found.locks]
    beside = ["pyproject.toml"] if any(each.endswith(("uv.lock", "poetry.lock")) for each in named) else []
    included = (
        ["requirements*.txt", "requirements/**"] if any(not each.deployed.complete for each in found.locks) else []
    )
    return [*named, *beside, *included]


__all__ = ["HOOKS", "IGNORED", "MATRIX", "PROJECT", "WORKFLOW", "NothingToTest", "Written"]

"""What the tests of the probes share: requests, events read back, made-up modules and packages."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.engines import CHECKS, ENGINES
from harness.probes.running.request import Model, Request
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from harness.probes.running.events import Events

SMOKE: dict[str, Any] = {
    "image": {"pattern": "quadrants", "size": 4, "colours": ["red", "blue", "green", "yellow"]},
    "see": {"prompt": "What?", "max_new_tokens": 8, "judge": "exact", "expected": "red blue"},
    "structure": {"prompt": "JSON of {answer}", "max_new_tokens": 9, "judge": "json", "expected": {"a": "red"}},
}


def request_for(scratch: Path, backend: str = "pytorch", **model: Any) -> Request:
    return Request(
        check="two-pass",
        stage="boot",
        probe="engines.two_pass:two_pass",
        backend=backend,
        engine=ENGINES[backend].told(),
        events=str(scratch / "events.jsonl"),
        scratch=str(scratch),
        model=Model(**{"folder": str(scratch), "architecture": "Arch", "model_type": "arch", "smoke": SMOKE, **model}),
    )


def written(events: Events) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(events.path).read_text().splitlines()]


def results(events: Events) -> list[tuple[str, str, str | None]]:
    return [(each["stage"], each["outcome"], each["reason"]) for each in written(events) if each["event"] == "result"]


def install(monkeypatch: pytest.MonkeyPatch, name: str, **values: Any) -> ModuleType:
    """Make a module importable for this test, and its parents where they are not."""
    for end in [place for place, letter in enumerate(name) if letter == "."]:
        if name[:end] not in sys.modules:
            monkeypatch.setitem(sys.modules, name[:end], ModuleType(name[:end]))
    module = ModuleType(name)
    vars(module).update(values)
    monkeypatch.setitem(sys.modules, name, module)
    return module


START = ROOT / "harness" / "probes" / "start.py"


@dataclass(frozen=True)
class Told:
    """What a probe wrote and how it ended."""

    events: list[dict[str, Any]]
    exit_status: int
    log: str

    @property
    def kinds(self) -> list[str]:
        """Names of the events, in order."""
        return [event["event"] for event in self.events]

    @property
    def results(self) -> list[dict[str, Any]]:
        """The result events."""
        return [event for event in self.events if event["event"] == "result"]

    @property
    def result(self) -> dict[str, Any]:
        """The only result."""
        (only,) = self.results
        return only

    @property
    def facts(self) -> dict[str, Any]:
        """Facts by name."""
        return {event["name"]: event["value"] for event in self.events if event["event"] == "fact"}


@dataclass(frozen=True)
class Session:
    """Runs probes over packages made up for one test."""

    interpreter: Path
    folder: Path

    @property
    def packages(self) -> Path:
        """Where made-up packages go."""
        return self.folder / "site-packages"

    def install(self, files: Mapping[str, str]) -> None:
        """Write the files and an ``__init__.py`` where a package would miss one."""
        for name, text in files.items():
            path = self.packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
            for parent in path.relative_to(self.packages).parents:
                if parent != Path() and not (self.packages / parent / "__init__.py").exists():
                    (self.packages / parent / "__init__.py").touch()
        (site,) = self.interpreter.parent.parent.glob("lib/python*/site-packages")
        (site / "made_up.pth").write_text(f"{self.packages}\n")

    def ask(self, check: str, backend: str = "pytorch", **changes: Any) -> Told:
        """Run one check; ``model``, ``engine`` and ``options`` in ``changes`` go into the request."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        events = self.folder / "events.jsonl"
        asked = CHECKS[check]
        request = {
            "check": check,
            "stage": str(asked.stages[0]),
            "probe": asked.probe,
            "backend": backend,
            "engine": {**ENGINES[backend].told(), **changes.get("engine", {})},
            "lmdeploy": "0",
            "transformers": "0",
            "events": str(events),
            "scratch": str(scratch),
            "options": changes.get("options", {}),
            "model": {"name": "m", "architecture": "Arch", "model_type": "arch", **changes.get("model", {})},
        }
        path = self.folder / "request.json"
        path.write_text(json.dumps(request))
        ended = self.start(path)
        lines = events.read_text().splitlines() if events.exists() else []
        return Told([json.loads(line) for line in lines], ended.returncode, ended.stdout + ended.stderr)

    def start(self, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
        """Run the entry with these arguments."""
        return subprocess.run(
            [self.interpreter, "-I", START, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
        )

"""A batch: what its checks share is loaded once, and what a later phase loads stays out of the earlier one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BATCH = Path(__file__).parents[3] / "harness" / "probes" / "running" / "batch.py"
RUN = f"""
import json, sys
sys.path.insert(0, {str(BATCH.parent)!r})
import batch

def answer(request):
    print(request, sorted({{"one", "two"}} & set(sys.modules)), flush=True)
    return 0

sys.exit(batch.run(json.loads(sys.argv[1]), sys.argv[1:], answer))
"""


@pytest.mark.parametrize(
    ("second", "loaded"), [("two", ["['one']", "['one', 'two']", "['one']"]), ("broken", ["['one']"] * 3)]
)
def test_a_phase_loads_for_itself_alone(tmp_path: Path, second: str, loaded: list[str]) -> None:
    for name, text in {"one": "", "two": "", "broken": "raise OSError('no')"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    phases = [
        {"preload": ["one"], "requests": ["a"]},
        {"preload": [second], "requests": ["b"]},
        {"preload": [], "requests": ["c"]},
    ]
    events = tmp_path / "events.jsonl"
    order = {"batch": phases, "events": str(events), "wall": 20.0}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(order)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith(("a ", "b ", "c "))]
    assert said == [f"{name} {modules}" for name, modules in zip("abc", loaded, strict=True)]
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [event.get("request") for event in told] == ["a", "b", "c", None]

"""Real dependency bumps through the gate: ``python -m benchmarks.gate_bumps [--only NAME]... [--dry]``.

Each bump is told by its from-version, as an update bot tells it. First the whole shipped matrix is asked without
installing anything (``gate --dry-run``); then one combination of each is really run before a verdict is written down.
What is expected of a bump was read from what the packages declare, before the gate was asked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.files import write_atomically

FILE = Path(__file__).with_name("gate_bumps.json")
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Case:
    """One bump."""

    bump: str
    before: str
    words: str
    """Which combination is really run."""
    expected: int
    """The exit code of the real run."""
    why: str


_LOG = "lmdeploy0.11.1-transformers4.57.3-turbomind-canary-py3.11-as-of"
_NOW = "lmdeploy0.16.0-transformers5.17.0-turbomind-canary"
_DECLARED = "lmdeploy declares it without an upper bound"
CASES = (
    Case("pydantic==2.13.0", "2.12.5", _LOG, 0, _DECLARED),
    Case("pydantic==2.14.3", "2.14.4", _NOW, 0, _DECLARED),
    Case("numpy==2.4.6", "2.3.5", _LOG, 0, "nothing in the stack holds numpy below 2.4"),
    Case("numpy==2.5.5", "2.4.6", _NOW, 1, "numba, which lmdeploy does not need, is not there; see the table"),
    Case("fastapi==0.165.0", "0.128.0", _LOG, 0, _DECLARED),
    Case("uvicorn==0.54.0", "0.40.0", _LOG, 0, _DECLARED),
    Case("openai==3.57.0", "2.14.0", _LOG, 0, _DECLARED),
    Case("tokenizers==0.22.2", "0.22.1", _LOG, 0, "transformers 4.57.3 declares tokenizers>=0.22.0,<=0.23.0"),
    Case("tokenizers==0.23.3", "0.22.1", _LOG, 1, "transformers 4.57.3 declares tokenizers>=0.22.0,<=0.23.0"),
    Case("huggingface-hub==0.36.2", "0.36.0", _LOG, 0, "transformers 4.57.3 declares huggingface-hub>=0.34.0,<1.0"),
    Case("huggingface-hub==1.0.0", "0.36.0", _LOG, 1, "transformers 4.57.3 declares huggingface-hub>=0.34.0,<1.0"),
    Case("torch==2.12.0", "2.12.1", "lmdeploy0.18.0-transformers5.17.0-turbomind-canary", 0, "within lmdeploy's range"),
    Case("pillow==13.0.0", "12.1.0", _LOG, 0, _DECLARED),
    Case("safetensors==0.8.0", "0.7.0", _LOG, 0, _DECLARED),
    Case("accelerate==1.15.0", "1.12.0", _LOG, 0, _DECLARED),
    Case("sentencepiece==0.2.3", "0.2.1", _LOG, 0, _DECLARED),
    Case("peft==0.21.2", "0.14.0", _LOG, 1, "lmdeploy declares peft<=0.14.0"),
    Case("protobuf==7.36.2", "6.33.2", _LOG, 0, _DECLARED),
    Case("einops==0.8.2", "0.8.1", _LOG, 0, _DECLARED),
    Case("tiktoken==0.14.0", "0.12.0", _LOG, 0, _DECLARED),
    Case("ray==2.60.0", "2.53.0", _LOG, 0, _DECLARED),
    Case("transformers==5.0.0", "4.57.3", _LOG, 1, "5.0.0 removed is_safetensors_available, which lmdeploy imports"),
)


def gate(folder: Path, case: Case, *more: str) -> tuple[int, dict[str, Any], float]:
    """The gate's exit code, its JSON and its seconds."""
    command = [sys.executable, "-m", "harness", "gate", case.bump, "--from", case.before, "--format", "json"]
    command += ["--reports", str(folder / "reports"), *more]
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "HARNESS_HOME": str(folder / "home"), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), round(time.monotonic() - started, 1)


def measure(folder: Path, case: Case, *, dry: bool) -> dict[str, Any]:
    """What the gate says of one bump."""
    code, told, seconds = gate(folder, case, "--dry-run")
    found: dict[str, Any] = {
        "bump": case.bump,
        "from": case.before,
        "why": case.why,
        "expected": case.expected,
        "dry_code": code,
        "comparisons": told["comparisons"],
        "stacks": told["stacks"],
        "refused": sum(len(each["combinations"]) for each in told["groups"] if each["stack"] is None),
        "gigabytes": round(told["download_bytes"] / 1e9, 1),
        "minutes": round(told["seconds"] / 60, 1),
        "notes": told["notes"],
        "dry_seconds": seconds,
    }
    if dry:
        return found
    code, outcome, seconds = gate(folder, case, "-k", case.words, "--retries", "0")
    shutil.rmtree(folder / "home" / "environments", ignore_errors=True)
    return found | {
        "code": code,
        "decision": outcome["decision"],
        "rows": [[row["id"], row["change"], row["before"], row["after"], row["moved"]] for row in outcome["rows"]],
        "causes": [f"{each['title']}: {each['line']}" for each in outcome["causes"]],
        "seconds": seconds,
    }


def table(measured: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| bump | comparisons | stacks | refused | really run | verdict |", f"|{' --- |' * 6}"]
    for each in measured:
        package, _, version = each["bump"].partition("==")
        row = (each.get("rows") or [["", "not run", "", "", []]])[0]
        moved = f"{len(row[4])} packages moved" if row[4] else ""
        cells = [
            f"{package} {each['from']} → {version}",
            str(each["comparisons"]),
            str(each["stacks"]),
            str(each["refused"]),
            f"{row[1]} ({each.get('code', '-')})",
            f"`{row[3]}`; {moved or each['why']}" if row[3] else each["why"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write down and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="bumps of this package")
    parser.add_argument("--dry", action="store_true", help="run nothing")
    parser.add_argument("--folder", type=Path, default=Path("gate-bumps"), help="where everything goes")
    given = parser.parse_args()
    known = {each["bump"]: each for each in (json.loads(FILE.read_text()) if FILE.exists() else [])}
    for case in CASES:
        if given.only and case.bump.partition("==")[0] not in given.only:
            continue
        known[case.bump] = known.get(case.bump, {}) | measure(given.folder.absolute(), case, dry=given.dry)
        write_atomically(FILE, json.dumps(list(known.values()), indent=1, ensure_ascii=False) + "\n")
        print(case.bump, known[case.bump].get("decision") or known[case.bump]["comparisons"], flush=True)
    print(table(list(known.values())))
    wrong = [each["bump"] for each in known.values() if "code" in each and each["code"] != each["expected"]]
    print(f"not as expected: {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main()

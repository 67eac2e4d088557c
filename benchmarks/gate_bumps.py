"""Real dependency bumps through the gate: ``python -m benchmarks.gate_bumps [--only PACKAGE]... [--dry]``.

Each bump is told by its from-version, as an update bot tells it. First the whole shipped matrix is asked, without
installing anything: which stacks held it, and does a stack with it exist. Then one combination of each is really run
before a verdict is written down, and all those together that are harmless, as a bot's group. What is expected of a bump
was read from what the packages declare.
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
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.files import write_atomically
from harness.gate.baseline import read_baseline
from harness.gate.candidates import AcceptedMatrix, bumped
from harness.gate.change import parse_bump
from harness.gate.forecast import foretell
from harness.gate.stacks import stacks_before
from harness.index.package_index import PackageIndex
from harness.matrix.project import Project
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).with_name("gate_bumps.json")
ROOT = Path(__file__).parent.parent
GROUP = "the harmless ones of this stack together"


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
    Case("numpy==2.5.5", "2.4.6", _NOW, 1, "numpy 2.5 has no wheel for Python 3.11, on which the matrix runs"),
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


def foresee(folder: Path, cases: tuple[Case, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the gate would compare for each bump, on the whole matrix; nothing is installed."""
    os.environ["HARNESS_HOME"] = str(folder / "home")
    session = Session(Project.of(ROOT / "matrix.yaml", folder / "reports" / "gate"))
    baseline = read_baseline(ROOT / "baseline.yaml")
    with PackageIndex(session.project.index_cache, timedelta(days=1)) as index:
        matrix = AcceptedMatrix(session, baseline, index)
        before = stacks_before(session, matrix.combinations, baseline)
        for case in cases:
            bump = parse_bump(case.bump, case.before)
            touched = bumped(session, matrix, before, [bump], index)
            told = foretell(
                session, touched.candidates, baseline, bump=str(bump), untested=(), notes=tuple(touched.notes)
            )
            refused = [each for each in told.groups if each.stack is None]
            print(case.bump, told.comparisons, told.stacks, flush=True)
            yield (
                case.bump,
                {
                    "bump": case.bump,
                    "from": case.before,
                    "why": case.why,
                    "expected": case.expected,
                    "comparisons": told.comparisons,
                    "stacks": told.stacks,
                    "refused": sum(len(each.combinations) for each in refused),
                    "gigabytes": round(told.download_bytes / 1e9, 1),
                    "minutes": round(told.seconds / 60, 1),
                    "notes": told.notes,
                },
            )


def really(folder: Path, words: str, *change: str) -> dict[str, Any]:
    """What the gate finds when it runs one combination."""
    command = [sys.executable, "-m", "harness", "gate", *change, "-k", words, "--retries", "0", "--format", "json"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--reports", str(folder / "reports")],
        cwd=ROOT,
        env={**os.environ, "HARNESS_HOME": str(folder / "home"), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    shutil.rmtree(folder / "home" / "environments", ignore_errors=True)
    if not done.stdout:
        return {"code": done.returncode}
    outcome = json.loads(done.stdout)
    (row,) = outcome["rows"]
    return {
        "code": done.returncode,
        "change": row["change"],
        "before": row["before"],
        "after": row["after"],
        "control": row["control"],
        "moved": row["moved"],
        "causes": [f"{each['title']}: {each['line']}" for each in outcome["causes"]],
        "seconds": round(time.monotonic() - started, 1),
    }


def group(folder: Path) -> dict[str, Any]:
    """The harmless bumps of the log's stack, as one change of a requirements file."""
    cases = {each.bump.partition("==")[0]: each for each in CASES if each.words == _LOG and each.expected == 0}
    old = [f"-{package}=={case.before}" for package, case in cases.items()]
    new = [f"+{case.bump}" for case in cases.values()]
    file = folder / "group.diff"
    head = ["--- a/requirements.txt", "+++ b/requirements.txt", f"@@ -1,{len(old)} +1,{len(new)} @@"]
    file.write_text("\n".join([*head, *old, *new, ""]))
    return {"bump": GROUP, "from": "", "expected": 0, "why": f"{len(cases)} packages"} | really(
        folder, _LOG, "--from-diff", str(file)
    )


def measured() -> dict[str, dict[str, Any]]:
    """What is written down, by bump."""
    return {each["bump"]: each for each in (json.loads(FILE.read_text("utf-8")) if FILE.exists() else [])}


def note(name: str, told: dict[str, Any]) -> None:
    """Write it down beside what is there."""
    known = measured()
    known[name] = {"bump": name} | known.get(name, {}) | told
    write_atomically(FILE, json.dumps(list(known.values()), indent=1, ensure_ascii=False) + "\n")


def table(measured: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| bump | comparisons | distinct stacks | without a stack | run to the end |", f"|{' --- |' * 5}"]
    for each in measured:
        package, _, version = each["bump"].partition("==")
        run = f"{each['change']} ({each['code']}): `{each['after'].split('(')[0]}`" if "change" in each else "not run"
        cells = [
            f"{package} {each['from']} → {version}" if version else each["bump"],
            *(str(each.get(name, "")) for name in ("comparisons", "stacks", "refused")),
            run,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write down and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="bumps of this package, one bump, or 'group'")
    parser.add_argument("--dry", action="store_true", help="run nothing")
    parser.add_argument("--run-only", action="store_true", help="only run")
    parser.add_argument("--folder", type=Path, default=Path("gate-bumps"), help="where everything goes")
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    cases = tuple(each for each in CASES if not given.only or {each.bump, each.bump.partition("==")[0]} & {*given.only})
    if not given.run_only:
        for name, told in foresee(folder, cases):
            note(name, told)
    if not given.dry:
        if not given.only or "group" in given.only:
            note(GROUP, group(folder))
        for case in cases:
            note(case.bump, really(folder, case.words, case.bump, "--from", case.before))
            print(case.bump, measured()[case.bump]["code"], measured()[case.bump].get("after"), flush=True)
    print(table(list(measured().values())))
    wrong = [each["bump"] for each in measured().values() if "code" in each and each["code"] != each["expected"]]
    print(f"not as expected: {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main()

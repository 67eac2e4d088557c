"""Defects planted in lmdeploy under miniatures of many architectures: ``python -m benchmarks.planted PYTHON [NAME…]``.

PYTHON is that of an environment with lmdeploy (``.harness/environments/<lock>/bin/python``); the miniatures are those
that a run of matrices/models.yaml has made. Each defect is in a class that lmdeploy builds models from (attention,
rotary embedding, norms, activations, experts); what it does to the logits of a text is compared as the stage
``emulate`` compares. Writes docs/planted-defects.md; 1 where a defect is not caught, or lmdeploy as it is accused.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.matrix.model_files import load_models
from harness.matrix.project import Project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.matrix.models import ModelSpec

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tests" / "probes" / "emulation" / "planted.py"
START = ROOT / "harness" / "probes" / "start.py"
TABLE = ROOT / "docs" / "planted-defects.md"
NAMES = (
    *("deepseek-v2", "gemma", "gemma2", "glm4", "glm4.1v", "internvl3", "llama-3.1", "llama4", "mistral", "mixtral"),
    *("phi3", "phimoe", "qwen2", "qwen2-moe", "qwen2-vl", "qwen2.5-vl", "qwen3", "qwen3-moe", "qwen3-next", "qwen3-vl"),
    "qwen3.5",
)
VERSIONS = "import json, lmdeploy, transformers; print(json.dumps([lmdeploy.__version__, transformers.__version__]))"
HEAD = """\
# Defects planted under miniatures

Made by `python -m benchmarks.planted`: lmdeploy {lmdeploy} with transformers {transformers}, emulated on a CPU.
A number says how many times transformers' own float16 error the logits of a text's prompt are off; up to 1.7 passes. A
dash: the model has no such part.

| miniature | as it is | {defects} |
|---|---|{rule}
"""
DEFECTS = {
    "attention-scale": "attention scaled a tenth too little",
    "rotary": "positions turned the other way",
    "norm": "norms 2 % too large",
    "gate-and-up": "gate and up swapped",
    "experts": "the expert beside the chosen one",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, compare, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="of an environment with lmdeploy")
    parser.add_argument("names", nargs="*", default=NAMES, help="miniatures")
    options = parser.parse_args(arguments)
    models = load_models(ROOT / "models")
    made = Project.of(ROOT / "matrix.yaml").weights
    versions = json.loads(subprocess.run([options.python, "-c", VERSIONS], capture_output=True, check=True).stdout)
    found = {name: measured(options.python, models[name], made / name, versions) for name in options.names}
    TABLE.write_text(table(found, versions), encoding="utf-8")
    wrong = [
        f"{name}: {defect}"
        for name, row in found.items()
        for defect, values in row.items()
        if values["within"] is not (defect == "nothing")
    ]
    print(
        f"{sum(len(row) - 1 for row in found.values())} defects under {len(found)} miniatures; wrong: {wrong or 'none'}"
    )
    return 1 if wrong else 0


def measured(python: Path, spec: ModelSpec, folder: Path, versions: Sequence[str]) -> Mapping[str, Any]:
    """What was found under one miniature, by defect."""
    with tempfile.TemporaryDirectory() as scratch:
        request = {
            "check": "emulation",
            "stage": "emulate",
            "probe": "emulation.stage:emulate",
            "backend": "pytorch",
            "events": f"{scratch}/events.jsonl",
            "scratch": scratch,
            "lmdeploy": versions[0],
            "transformers": versions[1],
            "model": {
                "name": spec.name,
                "architecture": spec.architecture,
                "model_type": spec.model_type,
                "smoke": spec.smoke.model_dump(mode="json"),
                "folder": str(folder),
            },
        }
        Path(scratch, "request.json").write_text(json.dumps(request), encoding="utf-8")
        subprocess.run([python, "-I", SCRIPT, START, "request.json", "found.json"], cwd=scratch, check=True)
        answer: Mapping[str, Any] = json.loads(Path(scratch, "found.json").read_text(encoding="utf-8"))
        return answer


def table(found: Mapping[str, Mapping[str, Any]], versions: Sequence[str]) -> str:
    """The page."""
    head = HEAD.format(
        lmdeploy=versions[0], transformers=versions[1], defects=" | ".join(DEFECTS.values()), rule="---|" * len(DEFECTS)
    )
    rows = [
        f"| {name} | {row['nothing']['ratio']:.2f} | "
        + " | ".join(f"{row[defect]['ratio']:.3g}" if defect in row else "-" for defect in DEFECTS)
        + " |\n"
        for name, row in found.items()
    ]
    return head + "".join(rows)


if __name__ == "__main__":
    sys.exit(main())

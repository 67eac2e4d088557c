"""Why lmdeploy 0.10.2 answers wrongly after an image: emulated as it is, and with one line as in 0.11.1.

    python -m benchmarks.emulate_notes .harness/environments/<lock>/bin/python [--write FILE]

``<lock>`` is the environment of a combination with lmdeploy 0.10.2 (matrices/emulate.yaml has two). In
``model_forward`` 0.10.2 lets the model make its notes for the next step (for Qwen2-VL how far an image pushes positions
apart) and then replaces them by the context's, which are those of the step before unless the model put new ones there;
Qwen2-VL does not. 0.11.1 replaces them only where there are some.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.emulate_table import PASSES
from harness.matrix.model_files import load_models

ROOT = Path(__file__).parent.parent
START = ROOT / "harness" / "probes" / "start.py"
VERSION = "0.10.2"
AS_IT_IS = "            model_metas = context.model_metas\n"
AS_IN_0_11_1 = """\
            if context.model_metas is not None and context.model_metas[0] is not None:
                model_metas = context.model_metas
"""
CURED = f"""
import importlib.util, inspect, sys
request = sys.argv[2]
spec = importlib.util.spec_from_file_location("start", sys.argv[1])
start = importlib.util.module_from_spec(spec)
spec.loader.exec_module(start)
start.load_package()
start.prepare()
stand_ins = start.sibling("emulation.stand_ins")
stand_ins.prepare()
stand_ins.install()
import lmdeploy.pytorch.engine.model_agent as agent
source = inspect.getsource(agent.model_forward)
assert source.count({AS_IT_IS!r}) == 1, "this is not the function it was"
exec(compile(source.replace({AS_IT_IS!r}, {AS_IN_0_11_1!r}), agent.__file__, "exec"), vars(agent))
start.answer_request(request)
"""


def emulated(python: str, *, cured: bool) -> dict[str, Any]:
    """The stage's result, with what was compared."""
    spec = load_models(ROOT / "models")["canary"]
    with tempfile.TemporaryDirectory(prefix="emulate-notes-") as name:
        folder = Path(name)
        request = {
            "check": "emulation",
            "stage": "emulate",
            "probe": "emulation.stage:emulate",
            "backend": "pytorch",
            "events": str(folder / "events.jsonl"),
            "scratch": str(folder),
            "lmdeploy": VERSION,
            "model": {
                "name": spec.name,
                "architecture": spec.architecture,
                "model_type": spec.model_type,
                "smoke": spec.smoke.model_dump(mode="json"),
                "folder": str(ROOT / "models" / "canary"),
            },
        }
        (folder / "request.json").write_text(json.dumps(request))
        (folder / "cured.py").write_text(CURED)
        script = [folder / "cured.py", START] if cured else [START]
        subprocess.run([python, "-I", *script, folder / "request.json"], cwd=folder, check=True, capture_output=True)
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    facts = {each["name"]: each["value"] for each in events if each["event"] == "fact"}
    result = next(each for each in events if each["event"] == "result")
    differences = {
        f"{kind} {part}": round(values["largest_difference"], 4)
        for kind, name in PASSES.items()
        for part, values in facts.get(f"compared_{name}", {}).items()
        if part in ("prefill", "decode")
    }
    answers = {name: facts[f"emulated_{name}"]["answers"][0] for name in ("see", "structure")}
    said = {"outcome": result["outcome"], "message": result["message"]}
    return {**said, "largest_differences": differences, "answers": answers, "control": facts["control"]["noticed"]}


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help=f"interpreter of an environment with lmdeploy {VERSION}")
    parser.add_argument("--write", type=Path, help="keep what was found in this file")
    given = parser.parse_args()
    python = str(Path(given.python).absolute())
    found = {
        "as it is": emulated(python, cured=False),
        "one line as in 0.11.1": emulated(python, cured=True),
    }
    text = json.dumps(found, indent=1) + "\n"
    sys.stdout.write(text)
    if given.write is not None:
        given.write.write_text(text)


if __name__ == "__main__":
    main()

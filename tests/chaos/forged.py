"""What a package writes into the probes' events in their place: forged answers, and lines that nobody can read."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from harness.core.verdict import Verdict
from tests.chaos.ground import orphans, scratch_left
from tests.chaos.processes import FIND_EVENTS, MATRIX, run_one
from tests.chaos.registry import expect, fault
from tests.miniatures import GOOD_BUILDER, make_wheel, transformers_files

if TYPE_CHECKING:
    from harness.core.records import Record
    from tests.chaos.registry import Setting, Tally

_APPEND = f"""
{FIND_EVENTS}
import json, os
def result(stage, outcome="pass", **more):
    return json.dumps({{"event": "result", "stage": stage, "outcome": outcome, "message": "", "reason": None,
                       "exception": None, "seconds": 0.1, **more}}) + "\\n"
def fact(value, name="x"):
    return '{{"event": "fact", "name": "%s", "value": %s}}\\n' % (name, value)
def append(text, path=events.path):
    with open(path, "ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
def batch(**more):
    folder, name = os.path.split(events.path)
    path = os.path.join(folder, "batch.events.jsonl")
    request = os.path.join(os.path.dirname(folder), name.replace(".events.jsonl", ".json"))
    ended = {{"event": "ended", "request": request, "end": "exited", "exit": 0, "seconds": 1, "peak": 1, "left": 0}}
    append(json.dumps({{**ended, **more}}) + "\\n", path)
"""
FORGED = {
    "passes of stages that were not asked": 'append(result("boot") + result("see") + result("structure"))',
    "a pass of its own": 'append(result("import"))',
    "two passes of its own, and exits": 'append(result("import") + result("import"))\nos._exit(0)',
    "infra": 'append(result("import", "infra", reason="hub-network"))\nos._exit(0)',
    "skipped": 'append(result("import", "skipped", reason="excluded"))\nos._exit(0)',
    "a reason of the harness's own": 'append(result("import", "fail", reason="hub-network"))\nos._exit(0)',
    "a pass with a reason": 'append(result("import", reason="unknown"))\nos._exit(0)',
    "a stage that there is not": 'append(result("made-up"))',
    "facts of the harness's own": 'append(fact(\'"namespaces"\', "sandbox"))',
    "seconds that are none": 'append(result("import", seconds=float("nan")))\nos._exit(0)',
    "seconds beyond all bounds": 'append(result("import").replace("0.1", "1e999"))\nos._exit(0)',
    "seconds before the beginning": 'append(result("import", seconds=-1))\nos._exit(0)',
    "NaN in a fact": 'append(fact("NaN"))',
    "-Infinity in a fact": 'append(fact("-Infinity"))',
    "1e999 in a fact": 'append(fact("[1, {\\"x\\": 1e999}]"))',
    "a number of 4,000 digits": 'append(fact("9" * 4000))',
    "100,000 brackets": 'append(fact("[" * 100_000 + "]" * 100_000))',
    "900 brackets": 'append(fact("[" * 900 + "]" * 900))',
    "100 objects in each other": 'append(fact(\'{"a":\' * 100 + "1" + "}" * 100))',
    "half a character": "append(fact('\"\\\\ud800\"'))",
    "no UTF-8": 'append(b\'{"event": "fact", "name": "\\xff", "value": 1}\\n\')',
    "no object": 'append("[1]\\n")',
    "no JSON": 'append("x\\n")',
    "an event that there is not": 'append(\'{"event": "made-up"}\\n\')',
    "another beginning": 'append(\'{"event": "start", "check": "x", "pid": 1, "python": "3"}\\n\')',
    "an end before the end": 'append(\'{"event": "end"}\\n\')',
    "a name that is no text": 'append(\'{"event": "fact", "name": [], "value": 1}\\n\')',
    "more than anybody reads": "append(fact('\"' + \"x\" * 9_000_000 + '\"'))",
}
OF_A_BATCH = {
    "an end of the batch that lacks all": "batch(exit=None, seconds=None, peak=None, left=None)",
    "an end of the batch that is none": 'batch(exit="x", seconds="x")',
    "an end of the batch without bounds": 'batch(seconds=float("inf"), peak=float("inf"))',
    "an end of the batch in other words": 'batch(end="passed")',
    "an end of another request": 'batch(request="/x")',
    "two ends": "batch()",
    "numbers of the batch of 4,000 digits": "batch(exit=int('9' * 4000), peak=int('9' * 4000))",
}


def run_forger(setting: Setting, tally: Tally, code: str) -> Record:
    """Run a transformers that writes events whenever it is loaded, and that passes everything otherwise."""
    ground = setting.ground
    version = f"4.57.{100 + len(list((ground.index / 'wheels').glob('transformers-4.57.1*')))}"
    files = transformers_files()
    files["transformers/__init__.py"] = f"{_APPEND}\n{code}\n{dedent(files['transformers/__init__.py'])}"
    make_wheel(ground.index / "wheels", "transformers", version, files)
    matrix = MATRIX.format(version=ground.good_lmdeploys(1)[0], idle=5, wall=30)
    project = ground.project(matrix.replace("pytorch", "transformers").replace("4.57.3", version))
    ended = ground.harness(project, "run")
    tally.tracebacks += ended.traceback
    tally.orphans += orphans() + scratch_left(project)
    records = ground.records(project)
    ground.clear(project)
    expect(len(records) == 1, f"{len(records)} records instead of one: {ended.err[-300:]}")
    return records[0]


def run_in_a_batch(setting: Setting, tally: Tally, code: str) -> Record:
    """Run an lmdeploy that writes into the events of the whole batch when its first module is loaded."""
    return run_one(setting.ground, tally, f"{_APPEND}\n{code}\n{GOOD_BUILDER}")


@fault("untrusted", "forged-events", "a package writes events of its own: passes, statuses, numbers, depths, no JSON")
def forged_events(setting: Setting, tally: Tally) -> None:
    """A clear verdict that is no pass and no trouble of the machine's, and no end of the run."""
    with tally.injection("nothing"):
        record = run_forger(setting, tally, "")
        expect(record.verdict == "pass", f"not even an honest package passes: {record.verdict}")
    for forged, run in ((FORGED, run_forger), (OF_A_BATCH, run_in_a_batch)):
        for name in sorted(forged) if not setting.quick else setting.random.sample(sorted(forged), 5):
            with tally.injection(name):
                record = run(setting, tally, forged[name])
                verdict = Verdict.parse(record.verdict)
                expect(record.verdict.startswith("fail/import/crash(") and "events" in verdict.detail, str(verdict))
                reached = [str(each.stage) for each in record.stages]
                expect(reached == ["resolve", "install", "import"], f"it is said to have reached {reached}")

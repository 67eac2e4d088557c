"""What a report says of one scenario each, as facts a person can read through in ``golden/``.

``python -m tests.report.test_golden`` blesses them, and the published schema, after a wanted change.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.core.verdict import Reason, Stage, Status
from harness.report import build_context
from harness.report.write import schema_text
from tests import ROOT
from tests.report.extras import MODELS
from tests.report.samples import GPU_MACHINE, START, on_gpu, record_of
from tests.report.troubles import IMAGES_KWARGS, NETWORK, NO_GPU, SAFETENSORS, WRONG, Trouble

if TYPE_CHECKING:
    from harness.core.records import Record
    from harness.report import ReportContext

FOLDER = ROOT / "tests" / "report" / "golden"
SCHEMA = ROOT / "docs" / "report.schema.json"
HINT = "if this is wanted: python -m tests.report.test_golden"
EXCLUDED = Trouble(Stage.RESOLVE, "", Reason.EXCLUDED, Status.SKIPPED, "no wheels for this python")


def record(lmdeploy: str, trouble: Trouble | None, transformers: str = "5.17.0", **more: object) -> Record:
    given = {"python": "3.11", "lmdeploy": lmdeploy, "transformers": transformers, "backend": "pytorch"}
    axes = given | {"model": "canary"} | {name: str(more.pop(name)) for name in ("backend",) if name in more}
    return record_of(axes, trouble, filler=2, **more)  # type: ignore[arg-type]  # keywords of the factory


SCENARIOS: dict[str, list[Record]] = {
    "blocked-at-boot": [record("0.18.0", NO_GPU), record("0.16.0", NO_GPU)],
    "proven-beside-other-packages": [on_gpu(record("0.18.0", None))],
    "failed-then-passed": [
        record("0.18.0", SAFETENSORS, machine=GPU_MACHINE),
        record("0.18.0", None, machine=GPU_MACHINE, attempt=2),
    ],
    "two-causes": [
        record("0.11.1", IMAGES_KWARGS, "4.38.2", expected="fail/import"),
        record("0.11.1", SAFETENSORS),
        record("0.12.3", SAFETENSORS),
    ],
    "wrong-answer-of-the-reference": [record("0.16.0", WRONG, backend="transformers")],
    "disturbed-and-excluded": [record("0.16.0", NETWORK), record("0.18.0", EXCLUDED, note="no wheels for this python")],
}


def facts(context: ReportContext) -> str:
    """The context without what stands in the records as well: stages, checks, stacks, machines, commands."""
    told = context.model_dump(mode="json")
    kept = ("id", "verdict", "height", "as_expected", "note", "cause", "differences", "earlier")
    parts = {
        **{name: told[name] for name in ("counts", "unexpected", "flaky", "measured")},
        "combinations": [
            {name: each[name] for name in kept if each[name] not in (None, "", [], {})} for each in told["combinations"]
        ],
        "answers": [
            {name: value for name, value in each.items() if value and name not in {"commands", "versions"}}
            | {"commands": [command["label"] for command in each["commands"]]}
            for each in told["answers"]
        ],
        "causes": [
            {name: each[name] for name in ("id", "status", "title", "remedy", "combinations", "where")}
            for each in told["causes"]
        ],
        "changes": told["changes"] and {change: n for change, n in told["changes"]["counts"].items() if n},
    }
    lines = [f"{json.dumps(name)}: {_lines(part)}" for name, part in parts.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(part: object) -> str:
    """A list of objects with a line for each of their members, anything else on one line."""
    if not isinstance(part, list) or not part or not isinstance(part[0], dict):
        return json.dumps(part, ensure_ascii=False)
    return "[\n" + ",\n".join(map(_members, part)) + "\n]"


def _members(entry: dict[str, object]) -> str:
    members = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items()]
    return " {" + ",\n  ".join(members) + "}"


def golden(name: str) -> str:
    models = {"models": {"canary": MODELS["canary"]}}
    return facts(build_context(SCENARIOS[name], generated=START, extras=models))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_told_as_it_was(name: str) -> None:
    assert golden(name) == (FOLDER / f"{name}.json").read_text("utf-8"), HINT


def test_every_golden_has_a_scenario() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(SCENARIOS)


def test_the_published_schema_is_the_current_one() -> None:
    assert schema_text() == SCHEMA.read_text("utf-8"), HINT


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in SCENARIOS:
        (FOLDER / f"{name}.json").write_text(golden(name), "utf-8")
    SCHEMA.write_text(schema_text(), "utf-8")

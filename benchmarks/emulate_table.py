"""The emulated verdicts as a table, from records: ``python -m benchmarks.emulate_table RESULTS.jsonl…``.

The records are those of matrices/emulate.yaml:

    uvx --from . lmdeploy-harness run --matrix matrices/emulate.yaml --reports reports/emulate
    python -m benchmarks.emulate_table reports/emulate/results.jsonl

What the table needs of them is kept in benchmarks/emulate_measured.json, the table is docs/emulate-measured.md; without
arguments the table is made of what is kept. With ``--gpu RESULTS.jsonl`` the pairs that a GPU ran too are compared with
what it said; the exit status is 1 where one differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.records import Record
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.matrix import Backend

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "benchmarks" / "emulate_measured.json"
TABLE = ROOT / "docs" / "emulate-measured.md"
PLANTED = ROOT / "benchmarks" / "emulate_planted.json"
NOTES = ROOT / "benchmarks" / "emulate_notes.json"
GPU = ROOT / "reports" / "reference" / "gpu" / "results.jsonl"
MODEL = "canary"
PASSES = {"image": "see", "text": "structure"}
"""What is asked in each pass of the canary."""
ANSWERS = frozenset({Stage.SEE, Stage.STRUCTURE})
HEAD = """\
# Emulated verdicts, measured

Made by `python -m benchmarks.emulate_table` from the records of `matrices/emulate.yaml`: {measured}.
Every verdict here is emulated; what that covers stands in [emulate.md](emulate.md).

These records are older than today's yardstick, which is a ratio to float16's own error: its figures, for every
architecture on fewer versions of lmdeploy, are in [models-measured.md](models-measured.md).

Differences are the largest between two logits, in the prompt and in the answer; control is the same with one projection
zeroed. Seconds are wall time of the whole stage with its imports, several combinations at a time on a machine that had
much other work; alone: one at a time.

| lmdeploy | transformers | emulated | image | text | control | seconds | alone |
|---|---|---|---|---|---|---|---|
"""


PLANTED_HEAD = """
## Defects planted in lmdeploy 0.18.0 with transformers 5.17.0

Measured by the test of `nox -s real` that plants them (`tests/probes/emulation/planted.py`), on the image's prompt.
The canary's quarters are flat, so its answer does not show patches that come row by row instead of block by block; the
logits do.

| planted | | largest difference | allowed then, or times float16's error | answer, where asked |
|---|---|---|---|---|
"""
NOTES_HEAD = """
## lmdeploy 0.10.2, as it is and with one line as in 0.11.1

Measured by `python -m benchmarks.emulate_notes`. The columns are the largest differences in prompt and answer.

| `model_forward` | emulated | image prompt | image answer | text prompt | text answer | pass 1 | pass 2 |
|---|---|---|---|---|---|---|---|
"""
ORDER = ("image prefill", "image decode", "text prefill", "text decode")


class Real(NamedTuple):
    """What a GPU said of a pair, by one way of starting the engine."""

    verdict: Verdict
    how: str


def kept(record: Record) -> dict[str, Any]:
    """What the table needs of a record."""
    row: dict[str, Any] = {
        "lmdeploy": record.axes["lmdeploy"],
        "transformers": record.axes["transformers"],
        "python": record.axes["python"],
        "label": record.axes.get("label", ""),
        "verdict": str(emulated_verdict(record)),
        "triton": record.stack.get("triton", ""),
        "numpy": record.stack.get("numpy", ""),
        "cores": record.machine.cores,
        "day": f"{record.finished:%Y-%m-%d}",
    }
    check = next((stage.checks[0] for stage in record.stages if stage.stage is Stage.EMULATE), None)
    if check is None:
        return row
    facts: dict[str, Any] = dict(check.facts)
    compared = {
        f"{kind} {part}": round(float(values["largest_difference"]), 4)
        for kind, name in PASSES.items()
        for part, values in facts.get(f"compared_{name}", {}).items()
        if part in ("prefill", "decode")
    }
    control = facts.get("control")
    return {
        **row,
        "seconds": round(check.seconds, 1),
        "differences": compared,
        "control": None if control is None else round(float(control["largest_difference"]), 2),
        "answers": [facts[name]["answers"][0] for name in ("emulated_see", "emulated_structure") if name in facts],
    }


def emulated_verdict(record: Record) -> Verdict:
    """Of the stage ``emulate``, or of the stage below it on which the climb ended."""
    emulated = next((stage.verdict for stage in record.stages if stage.stage is Stage.EMULATE), None)
    return Verdict.parse(emulated or record.verdict)


def agree(emulated: Verdict, real: Verdict) -> bool | None:
    """Whether an emulated verdict is what a GPU's record says; None where one of them says nothing.

    A whole pass answers to an emulated pass, a wrong answer to a wrong answer, and what fails below both fails alike.
    """
    if Status.BLOCKED in (emulated.status, real.status) or Status.INFRA in (emulated.status, real.status):
        return None
    if real.status is Status.FAIL and real.stage in ANSWERS:
        return emulated.stage is Stage.EMULATE and (emulated.status, emulated.reason) == (real.status, real.reason)
    if real.status is Status.FAIL and real.stage is Stage.BOOT:
        return None  # the engine did not come up: of its arithmetic nothing is known
    return (emulated.status, emulated.reason) == (real.status, real.reason) and (
        real.status is Status.PASS or emulated.stage is real.stage
    )


def gpu_verdicts(file: Path) -> dict[tuple[str, str], list[Real]]:
    """The last verdicts of a GPU by pair: the canary on the pytorch engine, whichever way it was started."""
    found: dict[tuple[str, str], dict[str, Real]] = {}
    for record in read(file):
        axes = record.axes
        if axes["backend"] == Backend.PYTORCH and axes["model"] == MODEL and record.machine.gpus:
            pair = (axes["lmdeploy"], axes["transformers"])
            how = axes.get("launch", "library")
            found.setdefault(pair, {})[record.id] = Real(Verdict.parse(record.verdict), how)
    return {pair: list(by_id.values()) for pair, by_id in found.items()}


def compared(rows: Iterable[dict[str, Any]], real: dict[tuple[str, str], list[Real]]) -> dict[tuple[str, str], str]:
    """For each pair that a GPU ran too: what it said, and whether the emulation agrees."""
    told: dict[tuple[str, str], str] = {}
    for row in rows:
        pair = (row["lmdeploy"], row["transformers"])
        if row["label"] or pair not in real:
            continue
        words = []
        for each in real[pair]:
            same = agree(Verdict.parse(row["verdict"]), each.verdict)
            word = {True: "agrees", False: "DIFFERS", None: "not comparable"}[same]
            words.append(f"GPU {short(each.verdict)} ({each.how}): {word}")
        told[pair] = f"emulated {short(Verdict.parse(row['verdict']))}; {'; '.join(words)}"
    return told


def short(verdict: Verdict) -> str:
    """Without its detail, which is long."""
    family = f"/{verdict.reason}" if verdict.reason is not None and verdict.reason is not Reason.UNKNOWN else ""
    return f"{verdict.status}{f'/{verdict.stage}' if verdict.stage and family else ''}{family}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The page."""
    days = sorted({row["day"] for row in rows})
    cores = sorted({row["cores"] for row in rows})
    measured = f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, {' or '.join(map(str, cores))} cores, no GPU"
    lines = HEAD.format(measured=measured).splitlines()
    for row in rows:
        label = f" {row['label']}" if row["label"] else ""
        cells = [
            f"{row['lmdeploy']}{label}",
            row["transformers"],
            shown(Verdict.parse(row["verdict"])),
            *(spread(row.get("differences", {}), kind) for kind in ("image", "text")),
            "" if row.get("control") is None else f"{row['control']}",
            f"{row['seconds']:.0f}" if "seconds" in row else "",
            f"{row['alone']:.0f}" if "alone" in row else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += planted(json.loads(PLANTED.read_text("utf-8")))
    if NOTES.exists():
        lines += notes(json.loads(NOTES.read_text("utf-8")))
    return "\n".join(lines) + "\n"


def planted(found: dict[str, dict[str, Any]]) -> list[str]:
    """What the comparison said of defects planted in lmdeploy (tests/probes/emulation/planted.py)."""
    lines = PLANTED_HEAD.splitlines()
    for name, values in found.items():
        caught = "agrees" if values["within"] else "caught"
        limit = values.get("largest_allowed", values.get("ratio"))  # the first in records of before
        cells = [name, caught, f"{values['largest_difference']:.3g}", f"{limit:.3g}"]
        lines.append(f"| {' | '.join([*cells, values.get('answer', '')])} |")
    return lines


def notes(found: dict[str, dict[str, Any]]) -> list[str]:
    """What one line of 0.10.2 changes (benchmarks/emulate_notes.py)."""
    lines = NOTES_HEAD.splitlines()
    for name, values in found.items():
        cells = [name, values["outcome"]]
        cells += [f"{values['largest_differences'][each]:.3g}" for each in ORDER]
        lines.append(f"| {' | '.join([*cells, *values['answers'].values()])} |".replace("\n", " "))
    return lines


def shown(verdict: Verdict) -> str:
    """The verdict in a cell: whole where it is not a pass."""
    return str(verdict.status) if verdict.status is Status.PASS else f"`{verdict}`"


def spread(differences: dict[str, float], kind: str) -> str:
    """Prefill's and decode's difference."""
    found = [differences[f"{kind} {part}"] for part in ("prefill", "decode") if f"{kind} {part}" in differences]
    return ", ".join(f"{each:.3g}" for each in found)


def read(file: Path) -> list[Record]:
    """The records of a file."""
    return [Record.model_validate_json(line) for line in file.read_text(encoding="utf-8").splitlines()]


def seconds_of(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """How long the stage took, by combination."""
    rows = {record.id: kept(record) for record in records}
    return {name: {"alone": row["seconds"]} for name, row in rows.items() if "seconds" in row}


def order(row: dict[str, Any]) -> tuple[list[int], list[int], str]:
    """By version."""
    numbers = [[int(part) for part in row[name].split(".")] for name in ("lmdeploy", "transformers")]
    return numbers[0], numbers[1], row["label"]


def main() -> None:
    """Read, keep, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="*", help="results.jsonl files, later lines count")
    parser.add_argument("--alone", type=Path, help="records of combinations that ran one at a time: their seconds")
    parser.add_argument("--gpu", type=Path, help=f"records of a GPU to compare with, such as {GPU.relative_to(ROOT)}")
    given = parser.parse_args()
    rows = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() and not given.records else []
    latest: dict[str, Record] = {}
    for file in given.records:
        latest |= {record.id: record for record in read(file)}
    if latest:
        alone = seconds_of(read(given.alone)) if given.alone is not None else {}
        rows = sorted((kept(record) | alone.get(name, {}) for name, record in latest.items()), key=order)
        KEPT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    TABLE.write_text(table(rows), encoding="utf-8")
    if given.gpu is None:
        sys.stdout.write(TABLE.read_text("utf-8"))
        return
    told = compared(rows, gpu_verdicts(given.gpu))
    for (lmdeploy, transformers), words in told.items():
        sys.stdout.write(f"lmdeploy {lmdeploy}, transformers {transformers}: {words}\n")
    if any("DIFFERS" in words for words in told.values()):
        sys.exit("an emulated verdict differs from the GPU's")


if __name__ == "__main__":
    main()

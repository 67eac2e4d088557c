"""The scan against the map of architectures: ``python -m benchmarks.scan_models [RESULTS.jsonl]``.

For every architecture, lmdeploy and transformers of a run of matrices/models.yaml: what the scan claims for sure
(import, configure, preprocess) beside what happened. The table is docs/scan-models.md. The exit status is 1 where the
scan was wrong: a false alarm, or a failure that it did not foresee.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.core.records import Record
from harness.core.verdict import Verdict
from harness.engines import Backend
from harness.matrix.model_files import load_models
from harness.scan.answers import truth
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.target import target_of
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.scan.answers.truth import Comparison

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "reports" / "reference" / "models" / "results.jsonl"
TABLE = ROOT / "docs" / "scan-models.md"
MODELS = ROOT / "models"
WRONG = ("false alarm", "miss")
HEAD = """\
# Predictions over every architecture, measured

Made by `python -m benchmarks.scan_models` from the records of `matrices/models.yaml`: for each architecture on each
stack, what [the scan](scan.md) claims for sure beside what happened in an environment of that stack, as far as the
engine's own image and prompt path. A false alarm is a failure that was claimed and did not come, a miss is one that
came and was not foreseen. Where a miniature cannot be made of a configuration there is nothing to try.

{sums}

"""


def latest(file: Path) -> list[Record]:
    """The last record of each combination in a file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return list({record.id: record for record in map(Record.model_validate_json, lines)}.values())


def compared(
    records: Sequence[Record], scanner_of: Callable[[str], Scanner], told: Callable[[str], None]
) -> list[Comparison]:
    """Every pair of every model; one model at a time, so that only one's releases are in memory."""
    rows: list[Comparison] = []
    for model in sorted({record.axes["model"] for record in records}):
        told(model)
        scanner = scanner_of(model)
        own = [record for record in records if record.axes["model"] == model]
        rows += truth.compare(lambda _model, _backend, one=scanner: one, own)  # type: ignore[misc] # one for each model
    return rows


def page(rows: Sequence[Comparison]) -> str:
    """The page."""
    sums = truth.summary(rows)
    said = (
        f"{sums['pairs']} pairs of {len({row.model for row in rows})} architectures, {sums['hard_failures']} hard "
        f"failures: {sums['right']} right, {sums['misses']} misses, {sums['false_alarms']} false alarms, "
        f"{sums['unknown']} that taught nothing."
    )
    return HEAD.format(sums=said) + "\n".join([*wrong(rows), *by_model(rows)]) + "\n"


def wrong(rows: Iterable[Comparison]) -> list[str]:
    """Every pair on which the scan was wrong."""
    lines = [
        f"| {row.model} | {row.lmdeploy} | {row.transformers} | {row.kind} | {', '.join(row.names)} | `{row.decided}` |"
        for row in rows
        if row.kind in WRONG
    ]
    if not lines:
        return ["It was wrong nowhere.", ""]
    head = ["| architecture | lmdeploy | transformers | | foreseen | happened |", "|---|---|---|---|---|---|"]
    return [*head, *lines, ""]


def by_model(rows: Sequence[Comparison]) -> list[str]:
    """What was foreseen rightly for each architecture, by the words of the scan."""
    lines = [
        "| architecture | pairs | fail | foreseen by | misses | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    for model in sorted({row.model for row in rows}):
        own = [row for row in rows if row.model == model]
        sums = truth.summary(own)
        foreseen = [row for row in own if row.kind == "right" and row.truth == "fail"]
        names = ", ".join(
            f"`{row}`" for row in dict.fromkeys(row.names[0].rpartition("transformers.models.")[2] for row in foreseen)
        )
        cells = [model, sums["pairs"], sums["hard_failures"], names, sums["misses"], sums["false_alarms"]]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return lines


def main() -> int:
    """Compare, write the page, name what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, help="records of matrices/models.yaml")
    parser.add_argument("--cache", type=Path, help="folder of the scan's cache")
    parser.add_argument("--only", help="models, separated by commas; the page is not written then")
    given = parser.parse_args()
    if not given.results.is_file():
        parser.error(f"{given.results} is not there; run matrices/models.yaml, or name its results.jsonl")
    wanted = set(given.only.split(",")) if given.only else None
    records = [
        record
        for record in latest(given.results)
        if record.axes["backend"] == Backend.PYTORCH and (wanted is None or record.axes["model"] in wanted)
    ]
    specs = load_models(MODELS)
    library = Library(given.cache)
    try:
        rows = compared(
            records,
            lambda model: Scanner(library, target_of(specs[model])),
            lambda model: print(model, file=sys.stderr),
        )
    finally:
        library.close()
    rows.sort(key=lambda row: (row.model, Version(row.lmdeploy), Version(row.transformers)))
    if wanted is None:
        TABLE.write_text(page(rows), encoding="utf-8")
    for row in rows:
        if row.kind in WRONG:
            sys.stdout.write(
                f"{row.kind}: {row.model} on {row.lmdeploy} with {row.transformers}: "
                f"foreseen {', '.join(row.names) or row.predicted}; happened {Verdict.parse(row.decided)}\n"
            )
    sums = truth.summary(rows)
    sys.stdout.write(f"{', '.join(f'{name} {number}' for name, number in sums.items())}\n")
    return 1 if sums["misses"] or sums["false_alarms"] else 0


if __name__ == "__main__":
    sys.exit(main())

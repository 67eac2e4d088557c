"""A trial of remedies, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from harness.core.files import read_json, write_atomically
from harness.core.verdict import Status, Verdict
from harness.incidents.verify import NO_HELP, VERIFIED
from harness.report.extras import read_view

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from harness.remedy.trial import Trial

_STYLE = {VERIFIED: "green", NO_HELP: "red"}


def print_trial(console: Console, trial: Trial) -> None:
    """What failed, each change with what came of it, and the command that repeats the evidence."""
    console.print(f"{trial.failed.id}\n  {escape(trial.failed.verdict)}")
    diagnosis = trial.failed.decisive
    if diagnosis is None or Verdict.parse(trial.failed.verdict).status is not Status.FAIL:
        console.print("  nothing failed here, so there is nothing to repair")
        return
    if diagnosis.remedy:
        console.print(f"  [dim]{escape(diagnosis.remedy)}[/]")
    for step in trial.steps:
        console.print(f"\n{escape(step.proposal.change)}")
        console.print(f"  [{_STYLE.get(step.finding, 'yellow')}]{step.finding}[/]: {escape(step.record.verdict)}")
    if trial.verified is not None:
        console.print(f"\nevidence: record {trial.verified.record.id}, attempt {trial.verified.record.attempt}")
    elif not trial.steps:
        console.print("  no change is known that would repair this; the remedy above is for a person")


def trial_json(trial: Trial) -> str:
    """The same as JSON."""
    return json.dumps(
        {
            "id": trial.failed.id,
            "verdict": trial.failed.verdict,
            "steps": [
                {
                    "change": step.proposal.change,
                    "id": step.record.id,
                    "attempt": step.record.attempt,
                    "verdict": step.record.verdict,
                    "finding": step.finding,
                }
                for step in trial.steps
            ],
            "verified": trial.verified is not None,
        },
        indent=1,
    )


def keep_trial(file: Path, trial: Trial) -> None:
    """Leave the trial where the report finds it, in place of earlier ones of the same combination."""
    kept = [row for row in _kept(file) if row["combination"] != trial.failed.id]
    outcome = {VERIFIED: "verified", NO_HELP: "did-not-help"}
    rows = [
        {
            "combination": trial.failed.id,
            "change": step.proposal.change,
            "outcome": outcome.get(step.finding, "not-run"),
            "by": step.record.id,
            "note": step.record.verdict,
        }
        for step in trial.steps
    ]
    write_atomically(file, json.dumps({"rows": kept + rows}, indent=1) + "\n")


def _kept(file: Path) -> list[Any]:
    """Earlier trials; the report tells of a file that is misshapen, and here it counts as absent."""
    try:
        return list(read_view(file.stem, read_json(file) or {"rows": []})["rows"])
    except ValueError:
        return []

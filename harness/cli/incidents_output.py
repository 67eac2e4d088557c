"""``lmdeploy-harness incidents``: the log's entries, run and judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table

from harness.incidents import MATRIX, combinations_for, load_incidents
from harness.incidents.verify import BLOCKED, NO_HELP, REPRODUCES, VERIFIED, IncidentOutcome, Proof, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.core.records import Record
    from harness.incidents import Incident
    from harness.matrix import Combination

STYLE = {REPRODUCES: "green", VERIFIED: "green", NO_HELP: "red"}


def list_incidents(console: Console) -> None:
    """Name them, with their remedies."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("entry", "incident", "what happened", "remedy"):
        table.add_column(name, overflow="fold")
    for each in load_incidents():
        table.add_row(str(each.entry), each.id, each.title, each.remedy)
    console.print(table)


def chosen_combinations(incidents: Sequence[Incident], combinations: Sequence[Combination]) -> list[Combination]:
    """Every combination that the incidents need, once."""
    names = [name for each in incidents for name in (*each.reproduced_by, *each.remedied_by)]
    return combinations_for(names, combinations)


def judge(
    incidents: Sequence[Incident], combinations: Sequence[Combination], records: Sequence[Record]
) -> list[IncidentOutcome]:
    """The outcome of each incident."""
    by_id = {each.id: each for each in records}
    return [verify(each, combinations, by_id) for each in incidents]


def print_outcomes(console: Console, outcomes: Sequence[IncidentOutcome]) -> None:
    """The table: still reproduces, diagnosed as, remedy, by which combination."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("entry", "incident", "reproduces", "diagnosed as", "remedy", "by"):
        table.add_column(name, overflow="fold")
    for outcome in outcomes:
        table.add_row(
            str(outcome.incident.entry),
            outcome.incident.id,
            _findings(outcome.reproductions) or "[dim]nothing to reproduce[/]",
            ", ".join(dict.fromkeys(outcome.signatures)) or "-",
            _findings(outcome.remedies),
            "\n".join(f"{proof.id} [dim]{proof.verdict}[/]" for proof in outcome.remedies),
        )
    console.print(table)
    for outcome in outcomes:
        if not outcome.as_stated:
            shown = "; ".join(f"{proof.id}: {proof.verdict}" for proof in (*outcome.reproductions, *outcome.remedies))
            console.print(f"[yellow]news[/] entry {outcome.incident.entry}, {outcome.incident.id}: {shown}")


def as_json(outcomes: Sequence[IncidentOutcome]) -> str:
    """The outcomes for programs."""
    return json.dumps(
        [
            {
                "id": each.incident.id,
                "entry": each.incident.entry,
                "title": each.incident.title,
                "reproductions": [_proof(proof) for proof in each.reproductions],
                "signatures": list(each.signatures),
                "diagnosed": each.diagnosed,
                "remedy": each.incident.remedy,
                "remedies": [_proof(proof) for proof in each.remedies],
                "remedied": each.remedied,
            }
            for each in outcomes
        ],
        indent=1,
    )


def view(outcomes: Sequence[IncidentOutcome]) -> dict[str, object]:
    """The incidents as the report shows them."""
    rows = []
    for each in outcomes:
        first = each.reproductions[0] if each.reproductions else None
        proofs = [proof for proof in each.remedies if proof.finding == VERIFIED] or list(each.remedies)
        unknown = {proof.finding for proof in each.reproductions} == {BLOCKED}
        rows.append(
            {
                "id": each.incident.id,
                "title": f"{each.incident.entry}. {each.incident.title}",
                "combination": first.id if first else None,
                "reproduces": None if first is None or unknown else first.finding == REPRODUCES,
                "why_not": "" if first else "a decision, not a failure",
                "diagnosed": each.signatures[0] if each.signatures else None,
                "expected": each.incident.signature,
                "remedy": each.incident.remedy,
                "verified": each.remedied if any(proof.finding != BLOCKED for proof in each.remedies) else None,
                "by": proofs[0].id,
            }
        )
    return {"rows": rows}


def _proof(proof: Proof) -> dict[str, str]:
    return {"id": proof.id, "verdict": proof.verdict, "finding": proof.finding}


def _findings(proofs: Sequence[Proof]) -> str:
    return "\n".join(f"[{STYLE.get(proof.finding, 'yellow')}]{proof.finding}[/]" for proof in proofs)


__all__ = ["MATRIX", "as_json", "chosen_combinations", "judge", "list_incidents", "print_outcomes", "view"]

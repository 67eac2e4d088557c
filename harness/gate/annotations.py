"""GitHub annotations: one for each root cause, never one for each combination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.comparison import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gate.outcome import GateOutcome

MOST = 10
"""As many of a kind as GitHub shows of one step."""


def workflow_commands(outcome: GateOutcome) -> Iterator[str]:
    """Workflow commands: regressions as errors, other causes as warnings."""
    shown = {"error": 0, "warning": 0}
    for cause in outcome.causes:
        kind = "error" if cause.change is Change.REGRESSED else "warning"
        shown[kind] += 1
        if shown[kind] > MOST:
            continue
        where = {"title": f"{cause.change}: {cause.title}"}
        if outcome.bump_file:
            where = {"file": outcome.bump_file, "line": str(outcome.bump_line or 1), **where}
        words = ",".join(f"{name}={_property(value)}" for name, value in where.items())
        body = f"{cause.verdict} ({len(cause.combinations)} combinations). {cause.line} {cause.remedy}".strip()
        yield f"::{kind} {words}::{_data(body)}"


def _data(text: str) -> str:
    return text[:4000].replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text[:250]).replace(":", "%3A").replace(",", "%2C")

"""Small files for other sites: a badge for each model and backend, and all answers in one file with a version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.core.files import write_atomically
from harness.evidence.choice import named
from harness.evidence.told import level_words
from harness.report.wording import look_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.evidence.choice import Choice

ANSWERS = "answers.json"
ANSWERS_VERSION = 1
"""Raised when a member of ``answers.json`` goes or changes its meaning."""
_COLOURS = {"pass": "brightgreen", "partial": "yellow", "fail": "red"}


def badge(choice: Choice) -> dict[str, object]:
    """What shields.io reads from an endpoint."""
    best = choice.best or choice.beyond  # whether it works does not hang on one reader's card
    words = f"{named(best)} ({level_words(best)})" if best is not None else "nothing known to work"
    return {
        "schemaVersion": 1,
        "label": f"{choice.subject.title} on {choice.backend}",
        "message": words,
        "color": _COLOURS[look_of(best.level)] if best is not None else _COLOURS["fail"],
    }


def write_badges(folder: Path, choices: Sequence[Choice], answers: Sequence[object]) -> list[str]:
    """Write ``MODEL-BACKEND.json`` for each choice, and ``answers.json``; returns the names.

    Args:
        folder: where to.
        choices: the answers.
        answers: the same as plain data.

    Raises:
        OSError: the folder cannot be written.
    """
    files = {f"{each.subject.name}-{each.backend}.json": json.dumps(badge(each)) for each in choices}
    files[ANSWERS] = json.dumps({"schema_version": ANSWERS_VERSION, "answers": list(answers)})
    for name, text in files.items():
        write_atomically(folder / name, f"{text}\n")
    return sorted(files)

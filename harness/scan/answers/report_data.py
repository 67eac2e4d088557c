"""The map as plain data for the report, with what runs measured laid over the predictions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.core.verdict import Stage, Status, Verdict
from harness.engines import Backend
from harness.scan.evaluation.engine import ROOT
from harness.scan.evaluation.metadata import warned_range
from harness.scan.evaluation.target import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.version import Version

    from harness.core.records import Record
    from harness.scan.answers.grid import Cell, Grid
    from harness.scan.sources.release import Library

_PREDICTED = (Stage.IMPORT, Stage.CONFIGURE, Stage.PREPROCESS)
"""Stages that the scan predicts."""


def map_context(
    grid: Grid,
    records: Iterable[Record] = (),
    *,
    truth: Mapping[str, Any] | None = None,
    declared: Mapping[str, str] | None = None,
    date: str | None = None,
) -> dict[str, Any]:
    """The report's view of the map, as ``ScanView`` has it.

    Args:
        grid: the predictions.
        records: what was measured; records of other models and backends are left out.
        declared: the transformers that each engine release's own check accepts.
        truth: the table of ``lmdeploy-harness scan-truth``; laid over the predictions too, and shown beside them.
        date: when the predictions were made, ISO 8601; None: today.
    """
    pairs: list[dict[str, Any]] = [] if truth is None else truth["pairs"]
    measured = {
        (row["lmdeploy"], row["transformers"]): row["truth"]
        for row in pairs
        if row["truth"] is not None
        and row.get("backend", Backend.PYTORCH) == grid.backend
        and _same_model(row.get("model", "canary"), grid.model)
    }
    measured |= measured_outcomes(records, grid.model, grid.backend)
    cells = [
        [_cell(grid.cells[row, column], measured.get((str(row), str(column)))) for column in grid.transformers]
        for row in grid.lmdeploy
    ]
    return {
        "model": grid.model,
        "backend": grid.backend,
        "python": grid.python,
        "date": date or datetime.now(UTC).date().isoformat(),
        "rows": [str(version) for version in grid.lmdeploy],
        "columns": [str(version) for version in grid.transformers],
        "cells": cells,
        "declared": dict(declared or {}),
        "truth": None if truth is None else {"summary": truth["summary"], "pairs": pairs},
    }


def declared_ranges(library: Library, engines: Iterable[Version]) -> dict[str, str]:
    """The transformers that each engine release's own check accepts without a warning; without those that have none.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    found = {}
    for version in engines:
        release = library.release(ROOT, version)
        release.fetch(release.modules)
        accepted = warned_range(release)
        if accepted is not None:
            found[str(version)] = str(accepted.specifier)
    return found


def measured_outcomes(records: Iterable[Record], model: str, backend: str) -> dict[tuple[str, str], str]:
    """What runs found for pairs: ``pass`` or ``fail`` as far as the scan predicts, ``blocked`` where it could not run.

    A model's name may be the start of the records' one: the map for ``qwen2-vl`` takes ``qwen2-vl-2b-instruct`` and
    the canary, which has the same architecture.
    """
    found: dict[tuple[str, str], str] = {}
    for record in records:
        axes = record.axes
        if _same_model(axes.get("model", ""), model) and axes.get("backend") == backend and "as_of" not in axes:
            outcome = outcome_of(record)
            if outcome is not None:
                found[axes["lmdeploy"], axes["transformers"]] = outcome
    return found


def _same_model(name: str, model: str) -> bool:
    return name.startswith(model) or (name == "canary" and model == DEFAULT_MODEL)


def outcome_of(record: Record) -> str | None:
    """``pass``, ``fail`` or ``blocked`` over the stages that the scan predicts; None when that was not found out."""
    outcome: str | None = None
    for stage in record.stages:
        verdict = Verdict.parse(stage.verdict)
        if verdict.status is Status.INFRA:
            return None
        if stage.stage is Stage.RESOLVE and verdict.status is Status.FAIL:
            return "fail"
        if stage.stage in _PREDICTED:
            if verdict.status is Status.FAIL:
                return "fail"
            outcome = "pass" if verdict.status is Status.PASS else outcome or "blocked"
    return outcome


def _cell(cell: Cell, measured: str | None) -> dict[str, Any]:
    findings = [*cell.names, *([f"and {cell.more} more"] if cell.more else [])]
    return {"prediction": str(cell.verdict), "findings": findings, "measured": measured}

"""The page's data: the context again, made small by writing down each repeated thing once.

The page's script reads this format and nothing else does; ``report.json`` is the format for everybody.
"""

from __future__ import annotations

import base64
import json
import zlib
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from harness.core.verdict import Stage, Status
from harness.report.wording import CHANGES, FAMILIES, STAGES, STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from harness.report.model import CheckEntry, Combination, LogEntry, ReportContext

PLAIN_LIMIT = 1_000_000
"""Characters of data up to which it stays readable in the page; above it is compressed."""
LOG_BUDGET = 6_000_000
"""Characters of distinct log lines that a page carries at most, before compression."""
LOG_STEPS = ((400, 400), (400, 60), (200, 20), (100, 0), (50, 0), (25, 0), (12, 0), (0, 0))
"""Lines kept of a log: of a check that did not pass, and of one that did. The first pair that fits is taken."""
RUNGS = {stage: place for place, stage in enumerate(Stage)}
BEFORE_DECIDING = 8
"""Lines kept before the deciding one, whatever is cut."""
AFTER_DECIDING = 3


class PageData(NamedTuple):
    """What stands in the page's data element."""

    text: str
    encoding: str
    """``json``, or ``deflate-raw`` for base64 of compressed JSON."""


def page_data(context: ReportContext) -> PageData:
    """The data element's content, safe to stand inside a script element."""
    text = json.dumps(_packed(context), ensure_ascii=False, separators=(",", ":"))
    if len(text) <= PLAIN_LIMIT:
        return PageData(inert(text), "json")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = squeeze.compress(text.encode()) + squeeze.flush()
    return PageData(base64.b64encode(packed).decode(), "deflate-raw")


def inert(text: str) -> str:
    """JSON that cannot end its script element, open a comment or surprise a JavaScript parser; it means the same."""
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


class _Table:
    """Distinct values in the order met."""

    def __init__(self) -> None:
        self.values: list[JsonValue] = []
        self._index: dict[str, int] = {}

    def text(self, value: str) -> int:
        index = self._index.setdefault(value, len(self.values))
        if index == len(self.values):
            self.values.append(value)
        return index

    def value(self, value: JsonValue) -> int:
        index = self._index.setdefault(json.dumps(value, sort_keys=True), len(self.values))
        if index == len(self.values):
            self.values.append(value)
        return index


def _packed(context: ReportContext) -> dict[str, JsonValue]:
    values, lines, texts, packages = _Table(), _Table(), _Table(), _Table()
    limits = _log_limits(context.checks)
    checks: list[JsonValue] = [_check(entry, values, lines, limits) for entry in context.checks]
    stacks: list[JsonValue] = [
        [entry.lock, [packages.text(f"{name}=={version}") for name, version in entry.packages.items()]]
        for entry in context.stacks
    ]
    orders = [{value: place for place, value in enumerate(axis.values)} for axis in context.axes]
    names = [axis.name for axis in context.axes]
    rows: list[JsonValue] = [_row(entry, names, orders, texts, values) for entry in context.combinations]
    causes: list[JsonValue] = [entry.model_dump(mode="json", exclude={"combinations"}) for entry in context.causes]
    return {
        "generated": context.generated,
        "asked": sum(not entry.beside for entry in context.combinations),
        "axes": [axis.model_dump(mode="json") for axis in context.axes],
        "models": {name: entry.model_dump(mode="json") for name, entry in context.models.items()},
        "stages": {stage: STAGES[stage] for stage in Stage},
        "states": {state: list(mark) for state, mark in STATES.items()},
        "statuses": list(Status),
        "families": dict(FAMILIES.items()),
        "changes": dict(CHANGES.items()),
        "causes": causes,
        "machines": [entry.model_dump(mode="json") for entry in context.machines],
        "cells": [index for facet in context.facets for row in facet.cells for cell in row for index in cell],
        "values": values.values,
        "lines": lines.values,
        "texts": texts.values,
        "packages": packages.values,
        "stacks": stacks,
        "checks": checks,
        "rows": rows,
    }


def _check(entry: CheckEntry, values: _Table, lines: _Table, limits: tuple[int, int]) -> JsonValue:
    exceptions: list[JsonValue] = [it.model_dump(mode="json") for it in entry.exceptions]
    return [
        entry.name,
        list(Status).index(entry.outcome),
        entry.key,
        entry.seconds,
        entry.peak_memory_mib,
        values.value(dict(entry.facts)) if entry.facts else None,
        [it.model_dump(mode="json") for it in entry.passes],
        values.value(exceptions) if exceptions else None,
        values.value(entry.diagnosis.model_dump(mode="json")) if entry.diagnosis else None,
        _log(entry.log, entry.outcome, lines, limits),
    ]


def _log(log: LogEntry | None, outcome: Status, lines: _Table, limits: tuple[int, int]) -> JsonValue:
    if log is None:
        return None
    first = _first_kept(log, outcome, limits)
    kept: list[JsonValue] = [lines.text(line) for line in log.lines[first:]]
    return [kept, None if log.deciding is None else log.deciding - first, log.omitted + first]


def _first_kept(log: LogEntry, outcome: Status, limits: tuple[int, int]) -> int:
    limit = limits[outcome is Status.PASS]
    first = max(0, len(log.lines) - limit)
    return first if log.deciding is None else min(first, max(0, log.deciding - BEFORE_DECIDING))


def _log_limits(checks: Sequence[CheckEntry]) -> tuple[int, int]:
    """How many lines of each log fit the page's budget; ``report.json`` keeps them all."""
    place = bisect_left(LOG_STEPS, True, key=lambda limits: _log_size(checks, limits) <= LOG_BUDGET)
    return LOG_STEPS[min(place, len(LOG_STEPS) - 1)]


def _log_size(checks: Sequence[CheckEntry], limits: tuple[int, int]) -> int:
    """Characters of distinct lines that these limits keep; counting ends where the budget does."""
    distinct: set[str] = set()
    size = 0
    for entry in checks:
        if entry.log is None or size > LOG_BUDGET:
            continue
        for line in entry.log.lines[_first_kept(entry.log, entry.outcome, limits) :]:
            if line not in distinct:
                distinct.add(line)
                size += len(line)
    return size


def _row(
    entry: Combination, names: Sequence[str], orders: Sequence[dict[str, int]], texts: _Table, values: _Table
) -> JsonValue:
    stages: list[JsonValue] = [
        [RUNGS[it.stage], texts.text(it.verdict), it.seconds, list(it.checks), list(it.reused)] for it in entry.stages
    ]
    return [
        entry.id,
        [orders[place][entry.axes[name]] if name in entry.axes else -1 for place, name in enumerate(names)],
        list(STATES).index(entry.state),
        texts.text(entry.verdict),
        None if entry.stage is None else RUNGS[entry.stage],
        entry.reason,
        texts.text(entry.detail),
        None if entry.height is None else RUNGS[entry.height],
        texts.text(entry.expected),
        entry.as_expected,
        texts.text(entry.note),
        stages,
        entry.decisive,
        entry.cause,
        entry.stack,
        entry.machine,
        entry.command,
        entry.started,
        entry.finished,
        entry.attempt,
        [it.model_dump(mode="json") for it in entry.earlier],
        list(entry.tags),
        values.value(dict(entry.differences)) if entry.differences else None,
        values.value(entry.engine.model_dump(mode="json")) if entry.engine else None,
        values.value(entry.gpu.model_dump(mode="json")) if entry.gpu else None,
    ]

"""The page's data: the tables of ``report.json`` under the same names, by columns, with logs cut to a budget."""

from __future__ import annotations

import base64
import json
import zlib
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from harness.core.verdict import Stage, Status
from harness.evidence.levels import Level
from harness.report.columns import column_of
from harness.report.wording import FAMILIES, LEVEL_WORDS, STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from harness.report.model import CheckEntry, LogEntry, ReportContext

PLAIN_LIMIT = 1_000_000
"""Characters of data up to which it stays readable in the page; above it is compressed."""
LOG_BUDGET = 6_000_000
"""Characters of distinct log lines that a page carries at most, before compression."""
LOG_STEPS = ((400, 400), (400, 60), (200, 20), (100, 0), (50, 0), (25, 0), (12, 0), (0, 0))
"""Lines kept of a log: of a check that did not pass, and of one that did. The first pair that fits is taken."""
BEFORE_DECIDING = 8
"""Lines kept before the deciding one, whatever is cut."""


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


def _packed(context: ReportContext) -> dict[str, JsonValue]:
    told = context.model_dump(mode="json", exclude={"checks", "causes", "architectures"})
    limits = _log_limits(context.checks)
    return {
        **{name: told[name] for name in ("generated", "axes", "models", "machines")},
        **{name: column_of(told[name]) for name in ("combinations", "stacks")},
        "checks": column_of([_check(entry, limits) for entry in context.checks]),
        "causes": [entry.model_dump(mode="json", exclude={"combinations"}) for entry in context.causes],
        "asked": sum(not entry.beside for entry in context.combinations),
        "cells": [index for facet in context.facets for row in facet.cells for cell in row for index in cell],
        "stages": {stage: stage.passed for stage in Stage},
        "states": {state: mark._asdict() for state, mark in STATES.items()},
        "families": dict(FAMILIES.items()),
        "levels": {level: [level.mark, LEVEL_WORDS[level]] for level in Level},
    }


def _check(entry: CheckEntry, limits: tuple[int, int]) -> JsonValue:
    told = entry.model_dump(mode="json")
    if entry.log is not None:
        first = _first_kept(entry.log, entry.outcome, limits)
        told["log"] |= {"lines": entry.log.lines[first:], "omitted": entry.log.omitted + first}
        if entry.log.deciding is not None:
            told["log"]["deciding"] = entry.log.deciding - first
    return told


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

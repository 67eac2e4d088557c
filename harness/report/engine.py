"""The engine that came up and what it took of the card, read from a boot's facts.

Facts are whatever a probe wrote, so every field is looked for and none is relied on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.visible import shown, visible_value
from harness.report.model import EngineEntry, GpuEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

MAX_POINTS = 200
_POINT = 2
"""Members of a point: seconds, MiB."""
_NAMED = {"requested", "backend", "engine", "device", "load_seconds", "settings"}


def engine_of(checks: Iterable[Mapping[str, JsonValue]]) -> EngineEntry | None:
    """What the first of these checks' facts that tell of an engine say of it."""
    told = _first(checks, "boot")
    if told is None:
        return None
    settings = told.get("settings")
    seconds = _number(told.get("load_seconds"))
    return EngineEntry(
        requested=_text(told.get("requested")),
        actual=_text(told.get("backend")),
        kind=_text(told.get("engine")),
        device=_text(told.get("device")),
        load_seconds=None if seconds is None else round(seconds, 3),
        settings=_members(settings) if isinstance(settings, dict) else {},
        told=_members({name: value for name, value in told.items() if name not in _NAMED}),
    )


def gpu_of(checks: Iterable[Mapping[str, JsonValue]]) -> GpuEntry | None:
    """What the first of these checks' facts that tell of a card say of it."""
    told = _first(checks, "gpu")
    if told is None:
        return None
    budget, peak = _whole(told.get("budget_mib")), _whole(told.get("peak_mib"))
    known = budget is not None and peak is not None and peak > 0
    held = told.get("held_mib")
    return GpuEntry(
        budget_mib=budget,
        peak_mib=peak or None,
        card_mib=_whole(told.get("card_mib")),
        fits=peak <= budget if known and budget is not None and peak is not None else None,
        alone=_truth(told.get("alone")),
        foreign_processes=_whole(told.get("foreign_processes")) or 0,
        tainted=told.get("tainted") is True,
        held=list(_points(held)) if isinstance(held, list) else [],
    )


def _first(checks: Iterable[Mapping[str, JsonValue]], name: str) -> Mapping[str, JsonValue] | None:
    return next((told for facts in checks if isinstance(told := facts.get(name), dict) and told), None)


def _points(held: list[JsonValue]) -> Iterable[tuple[float, int]]:
    for point in held[:MAX_POINTS]:
        if isinstance(point, list) and len(point) == _POINT:
            seconds, mib = _number(point[0]), _whole(point[1])
            if seconds is not None and mib is not None:
                yield round(seconds, 2), mib


def _members(told: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {shown(name): visible_value(value) for name, value in list(told.items())[:40]}


def _text(value: JsonValue) -> str | None:
    return shown(value) if isinstance(value, str) else None


def _truth(value: JsonValue) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: JsonValue) -> float | None:
    told = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    return float(value) if told and isinstance(value, int | float) else None


def _whole(value: JsonValue) -> int | None:
    number = _number(value)
    return None if number is None else int(number)

"""Names, order and values of the matrix's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.versions import version_key
from harness.engines import Backend
from harness.report.model import Axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LABELS = {
    "python": "Python",
    "lmdeploy": "LMDeploy",
    "transformers": "transformers",
    "backend": "Backend",
    "model": "Model",
    "as_of": "As of",
}
"""The axes every reader knows, in the order they are shown; others follow by name."""
VERSIONED = ("python", "lmdeploy", "transformers")
_BACKENDS = tuple(map(str, Backend))
ABSENT = "—"
"""Stands for an axis that a combination does not have."""


def backend_key(text: str) -> tuple[int, str]:
    """LMDeploy's engines first, then the reference, then anything else."""
    return (_BACKENDS.index(text) if text in _BACKENDS else len(_BACKENDS), text)


def axes_of(points: Iterable[Mapping[str, str]]) -> list[Axis]:
    """Every axis that the combinations have, with the values met."""
    seen: dict[str, set[str]] = {}
    for point in points:
        for name, value in point.items():
            seen.setdefault(name, set()).add(value)
    names = [name for name in LABELS if name in seen] + sorted(set(seen) - set(LABELS))
    return [Axis(name=name, label=LABELS.get(name, name), values=sorted_values(name, seen[name])) for name in names]


def sorted_values(name: str, values: Iterable[str]) -> list[str]:
    """The values of one axis in reading order."""
    if name in VERSIONED:
        return sorted(values, key=version_key)
    return sorted(values, key=backend_key) if name == "backend" else sorted(values)


def point_key(axes: Mapping[str, str], identity: str) -> tuple[object, ...]:
    """Sorts combinations: by lmdeploy, transformers, backend, model and python, then by id."""
    return (
        version_key(axes.get("lmdeploy", "")),
        version_key(axes.get("transformers", "")),
        backend_key(axes.get("backend", "")),
        axes.get("model", ""),
        version_key(axes.get("python", "")),
        identity,
    )

"""The scan's maps, as far as evidence goes: what it foresees for a pair, and which transformers an lmdeploy names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.evidence.subjects import Subject

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Map:
    model: str
    backend: str
    python: str
    pairs: Mapping[Pair, str]


@dataclass(frozen=True, slots=True)
class Predictions:
    """All maps that are here. A later one of the same model and backend takes the place of an earlier one."""

    maps: tuple[_Map, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict)
    """The transformers that each lmdeploy's own check accepts."""

    @classmethod
    def of_maps(cls, contents: Iterable[Mapping[str, object]]) -> Predictions:
        """From the contents of ``scan.json`` files; what is misshapen in one is left out.

        A map of before maps named their backend says nothing here.
        """
        maps: dict[tuple[str, str], tuple[str, _Map]] = {}
        ranges: dict[str, str] = {}
        for content in contents:
            found = _map(content)
            if found is not None:
                date = str(content.get("date", ""))
                name = (found.model, found.backend)
                if name not in maps or date >= maps[name][0]:
                    maps[name] = (date, found)
            declared = content.get("declared")
            if isinstance(declared, dict):
                ranges |= {str(version): str(text) for version, text in declared.items()}
        return cls(tuple(each for _, each in (maps[name] for name in sorted(maps))), ranges)

    def _of(self, subject: Subject, backend: str) -> _Map | None:
        fits = [each for each in self.maps if each.backend == backend and _names(each.model, subject)]
        return max(fits, key=lambda each: len(each.model), default=None)

    def of(self, subject: Subject, backend: str, pair: Pair) -> str | None:
        """The prediction for a pair; None: none was made."""
        found = self._of(subject, backend)
        return found.pairs.get(pair) if found is not None else None

    def pairs(self, subject: Subject, backend: str) -> list[Pair]:
        """The pairs that are foreseen to work."""
        found = self._of(subject, backend)
        return [pair for pair, said in found.pairs.items() if said in {"pass", "warn"}] if found is not None else []

    def python_of(self, subject: Subject, backend: str) -> str:
        """The Python that the map is for."""
        found = self._of(subject, backend)
        return found.python if found is not None else ""

    def declared(self, lmdeploy: str, transformers: str) -> bool | None:
        """Whether lmdeploy names that transformers among those it was tried with; None: not known."""
        text = self.ranges.get(lmdeploy)
        if not text:
            return None
        try:
            return SpecifierSet(text).contains(transformers, prereleases=True)
        except (InvalidSpecifier, InvalidVersion):
            return None


def _names(name: str, subject: Subject) -> bool:
    """Whether a map's model is the subject, or the family that its name begins with.

    The canary is the family's own: its architecture is Qwen2-VL's.
    """
    family = subject.name.startswith(name) or (subject.weights == "canary" and name == "qwen2-vl")
    return subject.name == name or (family and subject.quantisation in {None, "none"})


def _map(content: Mapping[str, object]) -> _Map | None:
    rows, columns, cells = content.get("rows"), content.get("columns"), content.get("cells")
    backend = content.get("backend")
    if not isinstance(backend, str) or not backend:
        return None
    if not (isinstance(rows, list) and isinstance(columns, list) and isinstance(cells, list)):
        return None
    pairs: dict[Pair, str] = {}
    for row, line in zip(rows, cells, strict=False):
        for column, cell in zip(columns, line if isinstance(line, list) else [], strict=False):
            if isinstance(cell, dict) and isinstance(cell.get("prediction"), str):
                pairs[str(row), str(column)] = cell["prediction"]
    return _Map(str(content.get("model", "")), backend, str(content.get("python", "")), pairs)

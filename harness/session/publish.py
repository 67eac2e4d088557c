"""Keeping the report current while results come in."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.files import read_json
from harness.evidence.sources import FAMILIES, IMPORTED, Source, Sources
from harness.evidence.subjects import subject_of, subjects_of
from harness.matrix.models import HubWeights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from harness.core.records import Record
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.results.store import ResultStore
    from harness.session.session import Session

PAGE = "index.html"
VIEWS = ("scan", "incidents", "gate")
"""Views of the report that are filled by a file of that name beside the records."""
REMEDIES = "remedies"
"""What ``lmdeploy-harness remedy`` tried, in such a file."""
INTERVAL = 20.0
"""Least seconds between two renderings while results come in; the first comes with the first result."""
REST = 20.0
"""A rendering is followed by so many times its own length without one: a large report must not slow its run down."""


@dataclass
class Publisher:
    """Renders the report from the record file.

    With a ``session``, its matrix's combinations are shown, in its order: records of combinations that the matrix no
    longer has stay in the record file and out of the report, unless ``everything`` is wanted.
    """

    store: ResultStore
    session: Session | None = None
    everything: bool = False
    joined: bool = False
    """Show the records of the reference runs like this machine's own."""
    out: Path | None = None
    """Where the report is written; None: beside the records."""
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _beside: threading.Thread | None = None
    _trouble: Exception | None = None
    _misshapen: dict[Path, str] = field(default_factory=dict)

    @property
    def page(self) -> Path:
        """The report's file."""
        return (self.out or self.store.folder) / PAGE

    @cached_property
    def _sources(self) -> Sources:
        """Read once: the records of other machines do not change while this one's come in."""
        return Sources.of(self.store.folder)

    def note_result(self) -> None:
        """A result came in: render beside the run, unless that is being done, or was a moment ago.

        Raises:
            OSError: the last rendering could not be written.
        """
        with self._lock:
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            rendering = self._beside is not None and self._beside.is_alive()
            if rendering or time.monotonic() < self._next:
                return
            self._beside = threading.Thread(target=self._render, name="report", daemon=True)
            self._beside.start()

    def settle(self) -> None:
        """Wait for a rendering under way, which would otherwise replace a later one."""
        if self._beside is not None:
            self._beside.join()

    def _render(self) -> None:
        started = time.monotonic()
        try:
            self._write()
        except Exception as error:  # noqa: BLE001 - a full disk, or a defect: the next result tells whoever waits
            self._trouble = error
        self._next = time.monotonic() + max(INTERVAL, REST * (time.monotonic() - started))

    def publish(self) -> Path:
        """Render now and return the page."""
        self.settle()
        return self._write()

    def _write(self) -> Path:
        from harness.report import write_report  # noqa: PLC0415 - a warm run with nothing new renders nothing

        if self.session is None:
            return write_report(self.attempts(), self.store.folder, self.extras())
        sources = self._sources.with_own(self.store)
        extras = self.extras()
        extras["lock_files"] = {name: str(path) for name, path in sources.lock_files(Path.cwd()).items()}
        return write_report(
            self.attempts(),
            self.out or self.store.folder,
            extras,
            elsewhere=[(each.name, record) for each in self._shown(sources) for record in each.attempts],
            knowledge=sources.knowledge(subjects_of(self.session.models.values())),
        )

    def _view(self, name: str) -> dict[str, Any] | None:
        """What another command left for the page, here or, on a joined one, with other machines' records."""
        folders = {self.store.folder: "", **{each.folder: each.name for each in self._sources.all if self.joined}}
        for folder, source in folders.items():
            found = self._read(folder / f"{name}.json")
            if found is not None:
                return found if not source or name != "incidents" else _of_source(found, source)
        return None

    def _read(self, file: Path) -> dict[str, Any] | None:
        """A file for the page; a misshapen one is left out, and told by :meth:`complaints`."""
        from harness.report.extras import read_view  # noqa: PLC0415 - as above

        content = read_json(file)
        try:
            return read_view(file.stem, content) if content is not None else None
        except ValueError as error:
            self._misshapen[file] = f"{file} is left out: {error}"
            return None

    def complaints(self) -> list[str]:
        """A sentence for each record that cannot be read, and each file that the last page does without."""
        return [*self.store.damage(), *self._misshapen.values()]

    def _shown(self, sources: Sources) -> list[Source]:
        """Of which other machines the page shows every combination: what was taken over, or all there is."""
        wanted = FAMILIES if self.joined else (IMPORTED,)
        return [each for each in sources.all if each.name.partition("/")[0] in wanted]

    def publish_if_older(self) -> Path:
        """Render unless the page is younger than the last record, and not of a time that is still to come."""
        if self.page.exists():
            last = self.store.file.stat().st_mtime if self.store.file.exists() else 0.0
            if last < self.page.stat().st_mtime <= time.time():
                return self.page
        return self.publish()

    def records(self) -> list[Record]:
        """The last attempt at each combination."""
        return self._of_matrix(self.store.records())

    def attempts(self) -> list[Record]:
        """What the report is made of: every attempt at each combination, and at those that are evidence beside them."""
        evidence = self._evidence()
        attempts = self.store.attempts()
        if self.session is None or self.everything:
            return attempts
        return self._of_matrix(attempts) + [each for each in attempts if each.id in evidence]

    def _of_matrix(self, records: list[Record]) -> list[Record]:
        if self.session is None or self.everything:
            return records
        place = {each.id: number for number, each in enumerate(self.session.combinations)}
        return sorted((each for each in records if each.id in place), key=lambda each: place[each.id])

    def _evidence(self) -> set[str]:
        """Ids that the incidents and the tried remedies rest on and the matrix does not have."""
        incidents = self._read(self.store.folder / "incidents.json") or {"rows": []}
        tried = self._read(self.store.folder / f"{REMEDIES}.json") or {"rows": []}
        named = {row.get(name) for row in incidents["rows"] for name in ("combination", "by")}
        if self.session is None or self.everything:
            return {each for each in named if each}
        named |= {row.get("by") for row in tried["rows"]}
        return {each for each in named if each} - {each.id for each in self.session.combinations}

    def extras(self) -> dict[str, JsonValue]:
        """What the report shows beside the records: the models, the target, and what other commands left."""
        found: dict[str, JsonValue] = {"beside": [*sorted(self._evidence())]}
        for name in VIEWS:
            content = self._view(name)
            if content is not None:
                found[name] = content
        tried = self._read(self.store.folder / f"{REMEDIES}.json")
        if tried is not None:
            found["remedies"] = tried["rows"]
        if self.session is not None:
            models = self.session.models
            shown = {each.model for each in self.session.combinations}
            shown |= {each.axes.get("model", "") for each in self.store.records()}
            for source in self._shown(self._sources):
                shown |= {each.axes.get("model", "") for each in source.attempts}
            found["models"] = {name: _facts(models[name]) for name in sorted(shown) if name in models}
            choice = (
                None
                if self.everything and not self.joined
                else choice_of(self.session.combinations, self.session.models)
            )
            if choice is not None:
                found["choice"] = choice
        return found


def _of_source(incidents: dict[str, Any], source: str) -> dict[str, Any]:
    """Incidents whose evidence is another machine's."""
    from harness.report.combinations import SOURCED  # noqa: PLC0415 - as above, where the page is written

    rows = [
        row | {name: f"{row[name]}{SOURCED}{source}" for name in ("combination", "by") if row.get(name)}
        for row in incidents.get("rows", [])
    ]
    return incidents | {"rows": rows}


def _facts(spec: ModelSpec) -> dict[str, JsonValue]:
    subject = subject_of(spec)
    hub = spec.weights.hub_id if isinstance(spec.weights, HubWeights) else None
    return {
        "title": spec.title,
        "hub_id": hub,
        "architecture": spec.architecture,
        "quantisation": str(spec.quantisation),
        "licence": spec.licence,
        "trust_remote_code": spec.trust_remote_code,
        "weights": spec.weights.kind,
        "known_models": list(spec.known_models),
        "size": subject.size,
        "needs": [[name, versions] for name, versions in subject.needs],
        "gpu_gib": subject.gpu_gib,
        "weights_gib": subject.weights_gib,
    }


def choice_of(combinations: Sequence[Combination], models: Mapping[str, ModelSpec]) -> dict[str, JsonValue] | None:
    """What the matrix's reader came for: its first model from the hub, on the machine that it is written for."""
    target = combinations[0].target
    words = [f"{target.gpu_memory_gib:g} GiB GPU"] if target.gpu_memory_gib else []
    words += [str(target.platform).upper()] if target.platform else []
    words += [f"driver {target.driver}"] if target.driver else []
    published = [each.model for each in combinations if isinstance(models[each.model].weights, HubWeights)]
    if not words:
        return None
    return {
        "model": (published or [combinations[0].model])[0],
        "target": ", ".join(words),
        "gpu_gib": float(target.gpu_memory_gib) if target.gpu_memory_gib else None,
    }

"""The whole map: every engine release against every transformers release, for one model."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.version import Version

from harness.core.system import peak_memory_mib
from harness.scan.answers.deadlock import SINCE
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.engine import ROOT
from harness.scan.evaluation.outside import PROVIDER
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.scan.answers.findings import Prediction
    from harness.scan.evaluation.target import ScanTarget

ENGINE_SINCE = Version("0.4.0")
"""The oldest engine release of the map."""
_NAMES = 6
"""Names kept per cell; the pair's own scan has them all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair's verdict and the names that decided it."""

    verdict: Prediction
    names: tuple[str, ...]
    more: int = 0
    """How many names were left out."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The map, both axes oldest first."""

    model: str
    backend: str
    python: str
    lmdeploy: tuple[Version, ...]
    transformers: tuple[Version, ...]
    cells: dict[tuple[Version, Version], Cell]
    seconds_reading: float = 0.0
    """Wall time until every engine release was read."""
    seconds_pairs: float = 0.0
    """Wall time of all pairs, the reading of transformers releases included."""
    evaluations: int = 0
    """How many pairs were evaluated in full; the others gave the same answers as one of these."""
    peak_mib: int = 0
    """Peak resident memory of the largest process."""


@dataclass(slots=True)
class _Share:
    cells: dict[tuple[Version, Version], Cell] = field(default_factory=dict)
    reading: float = 0.0
    pairs: float = 0.0
    evaluations: int = 0
    peak: int = 0


def make_grid(  # noqa: PLR0913 - a library, a target and what may be narrowed
    library: Library,
    target: ScanTarget,
    *,
    lmdeploy: Sequence[Version] | None = None,
    transformers: Sequence[Version] | None = None,
    jobs: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Grid:
    """Scan every pair.

    Args:
        library: where releases come from.
        target: model and backend.
        lmdeploy: engine versions; None: all since 0.4.0.
        transformers: transformers versions; None: all since 4.30.0.
        jobs: processes; None: two, or one on a single core. Each takes neighbouring transformers versions, which
            share most of their files.
        progress: told what is being read.

    Raises:
        IndexUnavailable: the index cannot be asked.
        NoSuchRelease: one of the given versions is not in it.
    """
    engines = list(lmdeploy or (v for v in library.versions(ROOT) if v >= ENGINE_SINCE))
    providers = list(transformers or (v for v in library.versions(PROVIDER) if v >= SINCE))
    count = max(1, min(jobs or min(2, os.cpu_count() or 1), len(providers)))
    library.store.flush()
    if count == 1:
        parts = [_scan_part(library, target, engines, providers, progress)]
    else:
        shares = [providers[len(providers) * i // count : len(providers) * (i + 1) // count] for i in range(count)]
        folder, url = library.store.folder, library.index_url
        with ProcessPoolExecutor(count) as pool:
            if progress is not None:
                progress(f"{len(engines)} engine releases")
            started = time.perf_counter()
            halves = [engines[i::count] for i in range(count)]
            list(pool.map(_read_engines, [folder] * count, [url] * count, [target] * count, halves))
            reading = time.perf_counter() - started
            if progress is not None:
                progress(f"{len(engines)} by {len(providers)} pairs")
            parts = list(
                pool.map(_in_process, [folder] * count, [url] * count, [target] * count, [engines] * count, shares)
            )
            for part in parts:
                part.reading += reading
    cells = {pair: cell for part in parts for pair, cell in part.cells.items()}
    return Grid(
        model=target.model,
        backend=target.backend,
        python=target.python,
        lmdeploy=tuple(engines),
        transformers=tuple(providers),
        cells=cells,
        seconds_reading=max(part.reading for part in parts),
        seconds_pairs=max(part.pairs for part in parts),
        evaluations=sum(part.evaluations for part in parts),
        peak_mib=max(part.peak for part in parts),
    )


def _read_engines(folder: Path, index_url: str | None, target: ScanTarget, engines: Sequence[Version]) -> None:
    """Fetch and parse some engine releases, for the cache alone."""
    library = Library(folder, index_url=index_url)
    scanner = Scanner(library, target)
    for version in engines:
        _ = scanner.engine(version).needs
    library.close()


def _in_process(
    folder: Path, index_url: str | None, target: ScanTarget, engines: Sequence[Version], providers: Sequence[Version]
) -> _Share:
    library = Library(folder, index_url=index_url)
    part = _scan_part(library, target, engines, providers, None)
    library.close()
    return part


def _scan_part(
    library: Library,
    target: ScanTarget,
    engines: Sequence[Version],
    providers: Sequence[Version],
    progress: Callable[[str], None] | None,
) -> _Share:
    scanner = Scanner(library, target)
    part = _Share()
    started = time.perf_counter()
    for engine in engines:
        if progress is not None:
            progress(f"{ROOT} {engine}")
        _ = scanner.engine(engine).needs
    part.reading = time.perf_counter() - started
    started = time.perf_counter()
    for place, provider in enumerate(providers):
        library.look_ahead(PROVIDER, providers[place + 1 : place + 5])
        if progress is not None:
            progress(f"{PROVIDER} {provider}")
        for engine in engines:
            verdict, names = scanner.verdict(engine, provider)
            part.cells[engine, provider] = Cell(verdict, tuple(names[:_NAMES]), max(0, len(names) - _NAMES))
        scanner.forget(provider)
        library.trim()
    part.pairs = time.perf_counter() - started
    part.evaluations = sum(scanner.engine(engine).memory.distinct for engine in engines)
    part.peak = peak_memory_mib()
    return part

"""The versions that remain for a model, the best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.scan.answers.deadlock import SINCE
from harness.scan.answers.findings import Prediction
from harness.scan.answers.grid import ENGINE_SINCE
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.engine import ROOT
from harness.scan.evaluation.outside import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.version import Version

    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.sources.release import Library


@dataclass(frozen=True, slots=True)
class Suggested:
    """One transformers version that remains."""

    version: Version
    verdict: Prediction
    warned_about: bool
    """The engine's own check warns about it."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What remains for one engine release."""

    lmdeploy: Version
    versions: tuple[Suggested, ...]
    """The best first: no warning of the scan, then none of the engine, then the newest."""

    @property
    def best(self) -> Version | None:
        """The version to begin with; None when nothing remains."""
        return self.versions[0].version if self.versions else None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "lmdeploy": str(self.lmdeploy),
            "best": None if self.best is None else str(self.best),
            "versions": [
                {"transformers": str(each.version), "verdict": str(each.verdict), "warned_about": each.warned_about}
                for each in self.versions
            ],
            "prediction": True,
        }


def suggestions(
    library: Library,
    target: ScanTarget,
    lmdeploy: str | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> list[Suggestion]:
    """The transformers versions that remain, for one engine version or for each since 0.4.0, newest engine first.

    Raises:
        NoSuchRelease: the engine's version is not in the index.
        IndexUnavailable: the index cannot be asked.
    """
    scanner = Scanner(library, target)
    if lmdeploy is not None:
        engines = [scanner.engine(lmdeploy).engine.release.version]
    else:
        engines = [version for version in library.versions(ROOT) if version >= ENGINE_SINCE]
    remaining: dict[Version, list[Suggested]] = {engine: [] for engine in engines}
    for version in library.versions(PROVIDER):
        if version < SINCE:
            continue
        if progress is not None:
            progress(f"{PROVIDER} {version}")
        for engine in engines:
            verdict, _ = scanner.verdict(engine, version)
            if verdict in (Prediction.PASS, Prediction.WARN):
                warned = scanner.engine(engine).warned
                outside = warned is not None and not warned.contains(version)
                remaining[engine].append(Suggested(version, verdict, outside))
        scanner.forget(version)
    return [Suggestion(engine, _ranked(remaining[engine])) for engine in reversed(engines)]


def _ranked(found: list[Suggested]) -> tuple[Suggested, ...]:
    newest_first = sorted(found, key=lambda each: each.version, reverse=True)
    return tuple(sorted(newest_first, key=lambda each: (each.verdict is not Prediction.PASS, each.warned_about)))

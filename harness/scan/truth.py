"""Measuring the predictions: real environments, the real ladder, and where the scan was wrong.

The pairs are climbed by the harness itself, as a matrix of their own with the canary, up to the engine's own image and
prompt path. A *hard failure* is a failed import, configure or preprocess stage, or a refusal by the resolver. The
scan has to foresee each of them (no miss) and nothing else (no false alarm). Trouble of the infrastructure, and a stage
that ran out of time, say nothing about a prediction: they stand in the table as unknown.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from harness.results import ResultStore
from harness.scan.findings import Outcome
from harness.scan.page import outcome_of
from harness.verdict import Reason, Stage, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.records import Record
    from harness.scan.pair import Scanner

MODEL = "canary"
"""The model the pairs are climbed with: a real architecture, small enough to lie in the repository."""
MATRIX = "scan-truth.yaml"
DEFAULT_PAIRS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("0.9.2", ("4.44.2", "4.46.3", "4.47.0", "4.57.6", "5.0.0")),
    ("0.10.2", ("4.41.2", "4.48.3", "4.56.2", "5.10.4")),
    ("0.11.1", ("4.38.2", "4.42.0", "4.46.3", "4.47.0", "4.56.2", "4.57.3", "5.23.0")),
    ("0.12.0", ("4.46.2", "4.51.3", "4.57.6", "5.0.0")),
    ("0.12.3", ("4.52.4", "4.55.4", "4.56.0", "5.0.0", "5.23.0")),
    ("0.13.0", ("4.53.3", "4.56.1", "5.8.1")),
    ("0.14.0", ("4.56.0", "5.5.4", "5.9.0")),
    ("0.16.0", ("4.57.6", "5.16.1")),
    ("0.18.0", ("4.55.4", "4.56.0", "5.6.2", "5.17.0", "5.23.0")),
)
"""Engine release to transformers releases: both sides of every bound the map draws, and the newest of everything."""


class BadPairs(Exception):  # noqa: N818 - says what is wrong with the file
    """A list of pairs that cannot be read; the message says where and what to write."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair: foreseen and found."""

    lmdeploy: str
    transformers: str
    predicted: Outcome
    names: tuple[str, ...]
    """What decided the prediction."""
    verdict: str
    """The ladder's verdict; empty when there is none."""
    decided: str
    """The stage's verdict that decided the truth, or the last one reached."""
    truth: str | None
    """``pass`` or ``fail``; None: infrastructure trouble or out of time, nothing learned."""

    @property
    def kind(self) -> str:
        """``right``, ``miss``, ``false alarm`` or ``unknown``."""
        if self.truth is None:
            return "unknown"
        foreseen = self.predicted in (Outcome.FAIL, Outcome.REFUSED)
        failed = self.truth == "fail"
        if foreseen == failed:
            return "right"
        return "miss" if failed else "false alarm"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "lmdeploy": self.lmdeploy,
            "transformers": self.transformers,
            "predicted": str(self.predicted),
            "names": list(self.names),
            "verdict": self.verdict,
            "decided": self.decided,
            "truth": self.truth,
            "kind": self.kind,
        }


def read_pairs(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Pairs from a file with an engine version and a transformers version on each line; ``#`` begins a comment.

    Raises:
        BadPairs: a line is not a pair.
    """
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPairs(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            engine, provider = (str(Version(word)) for word in words)
        except (InvalidVersion, ValueError):
            raise BadPairs(f"{path}:{number}: '{line.strip()}' is not a pair; write e.g. 0.11.1 4.57.3") from None
        found.setdefault(engine, []).append(provider)
    return [(engine, tuple(providers)) for engine, providers in found.items()]


def climb(
    pairs: Iterable[tuple[str, Sequence[str]]],
    *,
    models: Path,
    folder: Path,
    keep: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[Record]:
    """Climb the pairs, one engine release after the other, and return their records.

    Environments of an engine release are deleted before the next one's are built, unless ``keep``: then only their
    answers stay. What was climbed before from the same packages is not climbed again. With ``HARNESS_HOME`` set,
    environments are shared with every other command, and none is deleted.

    Args:
        pairs: engine version and transformers versions.
        models: folder of the model specs.
        folder: where matrices, environments and records go.
        keep: keep the environments.
        progress: told what is being climbed.

    Raises:
        OSError: the folder cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "models"
    if not link.exists():
        link.symlink_to(models.resolve())
    given = os.environ.get("HARNESS_HOME")
    reports, state = folder / "reports", Path(given) if given else folder / "state"
    for engine, providers in pairs:
        if progress is not None:
            progress(f"lmdeploy {engine} with transformers {', '.join(providers)}")
        matrix = folder / MATRIX
        matrix.write_text(matrix_text(engine, providers), "utf-8")
        command = [sys.executable, "-m", "harness", "run", "--matrix", str(matrix), "--reports", str(reports)]
        environment = {**os.environ, "HARNESS_HOME": str(state)}
        with (folder / "run.log").open("ab") as log:
            subprocess.run([*command, "--jobs", "1", "-q"], stdout=log, stderr=log, env=environment, check=False)
        if not keep and not given:
            shutil.rmtree(state / "environments", ignore_errors=True)
    return ResultStore(reports).records()


def matrix_text(engine: str, providers: Sequence[str]) -> str:
    """A matrix of one engine release, the canary, and some transformers releases."""
    versions = ", ".join(f'"{version}"' for version in providers)
    return (
        "version: 1\n"
        "axes:\n"
        '  python: "3.11"\n'
        f'  lmdeploy: "{engine}"\n'
        f"  transformers: [{versions}]\n"
        "  backend: pytorch\n"
        f"  model: {MODEL}\n"
    )


def compare(scanner: Scanner, records: Iterable[Record]) -> list[Comparison]:
    """Predictions beside what the records say, oldest engine first; of several attempts on a pair, the last counts.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    found: dict[tuple[str, str], Comparison] = {}
    for record in records:
        axes = record.axes
        if axes.get("model") != MODEL or axes.get("backend") != scanner.target.backend or "as_of" in axes:
            continue
        predicted, names = scanner.verdict(Version(axes["lmdeploy"]), Version(axes["transformers"]))
        truth, decided = outcome_of(record), _deciding(record)
        found[axes["lmdeploy"], axes["transformers"]] = Comparison(
            lmdeploy=axes["lmdeploy"],
            transformers=axes["transformers"],
            predicted=predicted,
            names=tuple(names[:3]),
            verdict=record.verdict,
            decided=decided,
            truth=None if truth == "blocked" or _out_of_time(decided) else truth,
        )
    return sorted(found.values(), key=lambda row: (Version(row.lmdeploy), Version(row.transformers)))


def summary(rows: Sequence[Comparison]) -> dict[str, int]:
    """How many pairs were right, missed, falsely alarmed, and how many taught nothing."""
    kinds = [row.kind for row in rows]
    return {
        "pairs": len(rows),
        "hard_failures": sum(row.truth == "fail" for row in rows),
        "right": kinds.count("right"),
        "misses": kinds.count("miss"),
        "false_alarms": kinds.count("false alarm"),
        "unknown": kinds.count("unknown"),
    }


def _out_of_time(verdict: str) -> bool:
    """Whether a stage hit its time limit: that tells of a busy machine at least as much as of the packages."""
    return bool(verdict) and Verdict.parse(verdict).reason is Reason.TIMEOUT


def _deciding(record: Record) -> str:
    """The first failed stage the scan predicts, or the highest passed one."""
    last = ""
    for stage in record.stages:
        verdict = Verdict.parse(stage.verdict)
        if stage.stage in (Stage.EMULATE, Stage.BOOT, Stage.SEE, Stage.STRUCTURE):
            break
        last = stage.verdict if verdict.status is not Status.PASS else f"pass/{stage.stage}"
        if verdict.status is not Status.PASS:
            break
    return last

"""Measuring the predictions: real environments, the real pipeline, and where the scan was wrong.

The pairs are run by the harness itself (:mod:`harness.session.pairs`), as matrices of their own, with the canary as far
as the engine's own image and prompt path; a model whose configuration is not on this machine goes as far as its
imports. A *hard failure* is a failed import, configure or preprocess stage, or a refusal by the resolver. The scan has
to foresee each of them (no miss) and nothing else (no false alarm). Trouble of the infrastructure, and a stage that ran
out of time, say nothing about a prediction: they stand in the table as unknown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from harness.core.errors import HarnessError
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.engines import ENGINES, Backend
from harness.scan.answers.findings import Prediction
from harness.scan.evaluation.target import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.core.records import Record
    from harness.scan.answers.scanner import Scanner

MODEL = "canary"
"""The model a pair is run with unless its line names another: a real architecture that lies in the repository."""
MATRIX = "scan-truth.yaml"
_HARD = (Prediction.FAIL, Prediction.REFUSED)
PAIRS = Path(__file__).with_name("truth_pairs.txt")
"""The pairs that are run unless others are given."""


class BadPairs(HarnessError):  # noqa: N818 - says what is wrong with the file
    """A list of pairs that cannot be read; the message says where and what to write."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pairs that are run together."""

    lmdeploy: str
    backend: str
    model: str
    transformers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """What was found out about a pair outside a run of the harness."""

    lmdeploy: str
    transformers: str
    backend: str
    model: str
    decided: str
    """The verdict of the stage that decided, or the last one reached; empty when there is none."""
    how: str
    """In what kind of environment."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair: foreseen and found."""

    lmdeploy: str
    transformers: str
    backend: str
    model: str
    predicted: Prediction
    names: tuple[str, ...]
    """What decided the prediction."""
    verdict: str
    """The pipeline's verdict; empty when there is none."""
    decided: str
    """The stage's verdict that decided the truth, or the last one reached."""
    truth: str | None
    """``pass`` or ``fail``; None: infrastructure trouble or out of time, nothing learned."""
    how: str = "environment"
    """``environment``: one of its own; ``overlay``: one whose packages that differ came first on the path."""

    @property
    def kind(self) -> str:
        """``right``, ``miss``, ``false alarm`` or ``unknown``."""
        if self.truth is None:
            return "unknown"
        foreseen = self.predicted in _HARD
        failed = self.truth == "fail"
        if foreseen == failed:
            return "right"
        return "miss" if failed else "false alarm"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "lmdeploy": self.lmdeploy,
            "transformers": self.transformers,
            "backend": self.backend,
            "model": self.model,
            "predicted": str(self.predicted),
            "names": list(self.names),
            "verdict": self.verdict,
            "decided": self.decided,
            "truth": self.truth,
            "how": self.how,
            "kind": self.kind,
        }


def read_pairs(path: Path = PAIRS) -> list[Group]:
    """Pairs from a file with ``LMDEPLOY TRANSFORMERS [BACKEND [MODEL]]`` on each line; ``#`` begins a comment.

    Raises:
        BadPairs: a line is not a pair.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPairs(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            engine, provider = (str(Version(word)) for word in words[:2])
            backend, model = (*words[2:], *(Backend.PYTORCH, MODEL)[len(words) - 2 :])
        except (InvalidVersion, ValueError):
            raise BadPairs(f"{path}:{number}: '{line.strip()}' is not a pair; write e.g. 0.11.1 4.57.3") from None
        if backend not in ENGINES:
            raise BadPairs(f"{path}:{number}: there is no backend '{backend}'; one of {', '.join(ENGINES)}")
        found.setdefault((engine, backend, model), []).append(provider)
    return [Group(*key, tuple(dict.fromkeys(providers))) for key, providers in found.items()]


def read_measured(path: Path) -> list[MeasuredPair]:
    """What a file tells that a measurement outside the harness has written, or an earlier ``scan-truth.json``.

    Raises:
        BadPairs: it does not hold such a table.
    """
    usual = {"backend": Backend.PYTORCH, "model": MODEL, "how": "environment"}
    try:
        data = json.loads(path.read_text("utf-8"))
        rows = [usual | row for row in (data["pairs"] if isinstance(data, dict) else data)]
        return [MeasuredPair(**{field.name: row[field.name] for field in fields(MeasuredPair)}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadPairs(f"{path} does not hold measured pairs: {error!r}") from error


def matrix_text(group: Group) -> str:
    """A matrix of one engine release, a model on a backend, and some transformers releases."""
    versions = ", ".join(f'"{version}"' for version in group.transformers)
    return (
        "version: 1\n"
        "axes:\n"
        f'  python: "{PYTHON}"\n'
        f'  lmdeploy: "{group.lmdeploy}"\n'
        f"  transformers: [{versions}]\n"
        f"  backend: {group.backend}\n"
        f"  model: {group.model}\n"
    )


def compare(
    scanner_of: Callable[[str, str], Scanner | None], records: Iterable[Record], measured: Iterable[MeasuredPair] = ()
) -> list[Comparison]:
    """Predictions beside what was found, oldest engine first; of several attempts on a pair, the last that taught.

    Args:
        scanner_of: the scanner for a model and a backend; None for a model that is not compared.
        records: what runs of the harness found.
        measured: what else was found; a run's own environment counts more.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    found: dict[tuple[str, ...], Comparison] = {}
    seen = [(each, each.decided, "") for each in measured]
    for record in records:
        axes = record.axes
        if axes.get("python", PYTHON) == PYTHON and not axes.keys() & {"as_of", "launch"}:
            pair = (axes["lmdeploy"], axes["transformers"], axes["backend"], axes["model"])
            seen.append((MeasuredPair(*pair, _deciding(record), "environment"), _deciding(record), record.verdict))
    for each, decided, verdict in seen:
        key = (each.lmdeploy, each.transformers, each.backend, each.model)
        scanner, truth = scanner_of(each.model, each.backend), _truth_of(decided)
        if scanner is None or not decided or (truth is None and key in found):
            continue  # excluded, of another model, or nothing new
        predicted, names = scanner.verdict(Version(each.lmdeploy), Version(each.transformers))
        if predicted in _HARD and Verdict.parse(decided).status is Status.BLOCKED:
            truth = None  # a climb that ended for want of a checkpoint refutes nothing that was foreseen
        found[key] = Comparison(*key, predicted, tuple(names[:3]), verdict or decided, decided, truth, each.how)
    return sorted(found.values(), key=lambda row: (Version(row.lmdeploy), Version(row.transformers), row.backend))


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


def _truth_of(decided: str) -> str | None:
    """``pass`` or ``fail`` over the stages that the scan predicts; None when nothing was learned.

    A stage that hit its time limit tells of a busy machine at least as much as of the packages.
    """
    if not decided:
        return None
    verdict = Verdict.parse(decided)
    if verdict.status is Status.FAIL:
        return None if verdict.reason is Reason.TIMEOUT or verdict.stage is Stage.INSTALL else "fail"
    reached = verdict.status is Status.PASS or (verdict.status is Status.BLOCKED and verdict.stage is not Stage.IMPORT)
    return "pass" if reached and verdict.stage not in {Stage.RESOLVE, Stage.INSTALL} else None


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

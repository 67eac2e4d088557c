"""What a report can be given beside the records, each part optional, each with a fixed shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, model_validator

from harness.core.comparison import Change

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Part):
    """What the reader came for: the report leads with this model on this backend."""

    model: str
    backend: str | None = None
    target: str | None = None
    """The machine aimed at, in words: ``8 GiB GPU, WSL2``."""
    gpu_gib: float | None = None
    """Memory of its GPU."""


class ModelSpecFacts(_Part):
    """The parts of a model spec that a report shows; anything absent is not shown."""

    title: str | None = None
    hub_id: str | None = None
    architecture: str | None = None
    quantisation: str | None = None
    licence: str | None = None
    trust_remote_code: bool | None = None
    weights: str | None = None
    known_models: list[str] = []
    size: str = ""
    """Equal for models of one size."""
    needs: list[tuple[str, str]] = []
    """Packages beyond the engine's own, each with the versions of lmdeploy that it is needed with."""
    gpu_gib: float | None = None
    """A GPU that serves it, by estimate."""
    weights_gib: float | None = None


class PreviousRun(_Part):
    """An earlier run to compare with."""

    label: str
    """How a reader knows it: a date, a commit, a file."""
    verdicts: dict[str, str]
    """Combination id to canonical verdict."""
    stacks: dict[str, dict[str, str]] = {}
    """Combination id to its locked packages."""


class RemedyView(_Part):
    """A repair that a run tried on one combination."""

    combination: str
    """Id of the combination that was repaired."""
    change: str
    """What was changed: ``transformers 4.57.3 → 4.51.3``."""
    outcome: Literal["verified", "did-not-help", "not-run"]
    by: str | None = None
    """Id of the combination that shows it."""
    note: str = ""


class RemediesView(_Part):
    """Every repair that was tried."""

    rows: list[RemedyView]


class ScanCell(_Part):
    """The scan's prediction for one pair, beside what a run measured there."""

    prediction: Literal["pass", "warn", "fail", "refused"]
    findings: list[str] = []
    """Missing names, refused requirements, warnings: the first few, with file and line."""
    measured: Literal["pass", "fail", "blocked"] | None = None
    """The import stage's true outcome; None where no run has been."""


class ScanTruthRow(_Part):
    """One pair of the scan's measurement: foreseen, and found by running it for real."""

    lmdeploy: str
    transformers: str
    backend: str = "pytorch"
    model: str = "canary"
    predicted: Literal["pass", "warn", "fail", "refused"]
    names: list[str] = []
    """What decided the prediction."""
    verdict: str
    decided: str
    """The stage's verdict that decided the truth, or the last one reached."""
    truth: Literal["pass", "fail"] | None = None
    how: Literal["environment", "overlay"] = "environment"
    """An environment of its own, or one whose packages that differ came first on the path."""
    kind: Literal["right", "miss", "false alarm", "unknown"]


class ScanTruth(_Part):
    """How the scan's predictions compare with real environments."""

    summary: dict[str, int]
    pairs: list[ScanTruthRow]


class ScanView(_Part):
    """The compatibility map read from the wheels' sources: predictions, labelled so."""

    model: str
    backend: str = ""
    """Empty in maps kept by earlier versions, whose model says it all in words."""
    python: str = ""
    date: str
    rows: list[str]
    """lmdeploy versions."""
    columns: list[str]
    """transformers versions."""
    cells: list[list[ScanCell | None]]
    declared: dict[str, str] = {}
    """The transformers that each lmdeploy's own check accepts without a warning."""
    truth: ScanTruth | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if [len(line) for line in self.cells] != [len(self.columns)] * len(self.rows):
            raise ValueError("the cells are not as many as rows and columns make")
        return self


class IncidentRow(_Part):
    """One entry of the troubleshooting log, as a run left it."""

    id: str
    title: str
    combination: str | None = None
    reproduces: bool | None = None
    """None when it could not be run here."""
    why_not: str = ""
    diagnosed: str | None = None
    expected: str | None = None
    remedy: str = ""
    verified: bool | None = None
    by: str | None = None


class IncidentsView(_Part):
    """The incidents table."""

    rows: list[IncidentRow]


class GateRow(_Part):
    """One combination under the gate."""

    id: str
    change: Change
    before: str | None = None
    after: str | None = None
    cause: str = ""


class GateView(_Part):
    """A dependency bump compared with the baseline."""

    bump: str
    baseline: str
    decision: str
    """One sentence."""
    exit_code: int
    rows: list[GateRow]


class TrendPoint(_Part):
    """One run of the past."""

    label: str
    counts: dict[str, int]
    """Combinations by state, as they stood after the run."""
    tested: int | None = None
    """Combinations that the run tried."""


class TrendView(_Part):
    """Verdicts over runs, oldest first."""

    points: list[TrendPoint]


class Extras(_Part):
    """Everything optional."""

    title: str | None = None
    choice: Choice | None = None
    models: dict[str, ModelSpecFacts] = {}
    previous: PreviousRun | None = None
    remedies: list[RemedyView] = []
    scan: ScanView | None = None
    incidents: IncidentsView | None = None
    gate: GateView | None = None
    trend: TrendView | None = None
    beside: list[str] = []
    """Ids of combinations that are evidence for an incident or a remedy and no part of the matrix."""
    locks: str = "locks"
    """Folder of the locks, relative to where the commands are run; empty: there are none."""
    lock_files: dict[str, str] = {}
    """Locks that are kept elsewhere, by name."""


_VIEWS: Mapping[str, type[_Part]] = {
    "scan": ScanView,
    "incidents": IncidentsView,
    "gate": GateView,
    "remedies": RemediesView,
    "scan-truth": ScanTruth,
}
"""What another command leaves for the report in a file of that name."""


def read_view(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of such a file, checked.

    Raises:
        ValueError: it is misshapen; the message names the first place and what is wrong there.
    """
    try:
        return _VIEWS[name].model_validate(content).model_dump(mode="json")
    except ValidationError as error:
        raise ValueError(_first(error)) from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"


def read_extras(extras: Mapping[str, JsonValue]) -> Extras:
    """The extras, checked.

    Raises:
        ValueError: a part is unknown or misshapen; the message names each place and what is wrong there.
    """
    try:
        return Extras.model_validate(dict(extras))
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"the report's extras do not fit: {places}") from None

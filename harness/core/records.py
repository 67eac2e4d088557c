"""What a run writes down: one record per combination and attempt, as JSON with a published schema.

Records are the only thing the report, the gate and the pin read. They are written by :mod:`harness.results.store` and
never changed afterwards.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from harness.core.verdict import Reason, Stage, Status, Verdict


def _canonical(text: str) -> str:
    return str(Verdict.parse(text))


def _numbered(value: JsonValue) -> JsonValue:
    """The value, if all its numbers are ones that can be written down again."""
    waiting: list[JsonValue] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float) and not math.isfinite(each):
            raise ValueError(f"{each} is no number")
        if isinstance(each, int) and abs(each) >= _COUNTABLE:
            raise ValueError("a number of more than 19 digits")
        if isinstance(each, list | dict):
            waiting += each.values() if isinstance(each, dict) else each
    return value


def _of_some_zone(moment: datetime) -> datetime:
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise ValueError(f"the year {moment.year} is none of a run's")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_FIRST_YEAR, _LAST_YEAR = 1900, 9000
"""Those before and after are not reached in every zone."""
_COUNTABLE = 10**19
Told = Annotated[JsonValue, AfterValidator(_numbered)]
"""A fact: JSON of any shape, whose numbers are numbers."""
Moment = Annotated[datetime, AfterValidator(_of_some_zone)]
"""A time; one without a zone is UTC."""
VerdictText = Annotated[str, AfterValidator(_canonical)]
"""A verdict in its canonical string form (see :mod:`harness.core.verdict`)."""


class Frozen(BaseModel):
    """Never changed once made, and nothing in it that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FrameRecord(Frozen):
    """One traceback frame, outermost first in its list."""

    file: str
    """Path as the interpreter gave it, with the environment's folder cut off (``lmdeploy/vl/model/builder.py``)."""
    line: int
    function: str
    text: str = ""
    """The source line, stripped."""


class ExceptionRecord(Frozen):
    """An exception as a probe saw it."""

    type: str
    """Name without ``builtins.``, otherwise qualified: ``ImportError``, ``pydantic.ValidationError``."""
    message: str
    frames: list[FrameRecord] = []
    cause: ExceptionRecord | None = None
    """``__cause__``, or ``__context__`` when not suppressed: towards the root."""


class DiagnosisRecord(Frozen):
    """What the catalogue of known failures says of a check that did not pass."""

    signature: str | None
    """Id in the catalogue; None when no signature matched."""
    family: Reason
    captures: dict[str, str] = {}
    """The grouping key, e.g. ``{"symbol": "BeamSearchScorer", "provider": "transformers"}``."""
    confidence: float = Field(ge=0, le=1)
    line: str = ""
    """The line that decided."""
    title: str = ""
    cause: str = ""
    remedy: str = ""
    source: str = ""


class CheckRecord(Frozen):
    """One question of a stage, answered by one child process (or by the harness itself, for resolve and install)."""

    name: str
    outcome: Status
    key: str
    """Hash of everything the answer depends on; equal keys share one answer."""
    reused: bool = False
    """The answer was taken from an earlier, identical question."""
    seconds: float = Field(ge=0)
    """Wall time of the answer when it was found."""
    peak_memory_mib: float | None = None
    """Peak resident memory of the child's process tree, MiB."""
    facts: dict[str, Told] = {}
    """What the probe found out: names, versions, prompts, answers, latencies in seconds."""
    exception: ExceptionRecord | None = None
    diagnosis: DiagnosisRecord | None = None
    log_tail: str = ""
    """The end of what the child printed, redacted and bounded."""


class StageRecord(Frozen):
    """A stage that was reached."""

    stage: Stage
    verdict: VerdictText
    seconds: float = Field(ge=0)
    """Sum of its checks' wall times, reused ones included."""
    checks: list[CheckRecord] = []


class MachineRecord(Frozen):
    """Where it ran."""

    os: str
    kernel: str
    wsl: bool
    cpu: str
    cores: int
    memory_mib: int
    gpus: list[str] = []
    gpu_memory_mib: list[int] = []
    gpu_capability: list[str] = []
    """Compute capability of each GPU, e.g. ``9.0``."""
    driver: str | None = None
    node: str = ""
    """Which of several machines: the name it has in the cluster; empty for a run on one machine."""


class Record(Frozen):
    """One attempt at one combination."""

    schema_version: Literal[1] = 1
    id: str
    """The combination's readable id."""
    attempt: int = Field(ge=1)
    axes: dict[str, str]
    """``python``, ``lmdeploy``, ``transformers``, ``backend``, ``model`` and, where given, ``as_of`` and others."""
    tags: list[str] = []
    verdict: VerdictText
    expected: str
    """The matrix's expectation, ``pass`` unless it says otherwise."""
    as_expected: bool | None
    """None when blocked, infra or skipped: nothing was learned about the expectation."""
    note: str = ""
    """The matrix's own words on this combination: the reason of an exclusion or of an expectation."""
    stages: list[StageRecord] = []
    lock: str | None = None
    """Hash that names the stack, and the file ``locks/<hash>/pylock.toml`` beside the records."""
    stack: dict[str, str] = {}
    """Every locked package: normalised name to version."""
    differences: dict[str, str | None] = {}
    """Packages that ran in another version than the lock's because the machine's own took their place; None: not there
    at all. Empty for an environment that is exactly its lock. A stack is only as proven as what ran."""
    machine: MachineRecord
    command: str
    """What reproduces this combination alone."""
    inputs: str
    """Hash of everything this record depends on; a later run with equal inputs has nothing new to learn."""
    harness: str
    """Version of the harness that wrote it."""
    run: str = ""
    """Name of the run it came from; names sort by time. Empty: written before runs had names."""
    started: Moment
    finished: Moment
    synthetic: bool = False
    """True for records that were made up to test the report; never true for a real run."""

    @property
    def decisive(self) -> DiagnosisRecord | None:
        """The diagnosis that explains the verdict: of the first diagnosed check that ended as the whole did."""
        status = Verdict.parse(self.verdict).status
        if status is Status.PASS:
            return None
        checks = (check for stage in self.stages for check in stage.checks if check.outcome is status)
        return next((check.diagnosis for check in checks if check.diagnosis is not None), None)

    @property
    def emulated(self) -> Status | None:
        """How the stage ``emulate`` ended, which speaks for no GPU; None when it was not reached."""
        found = (stage.verdict for stage in self.stages if stage.stage is Stage.EMULATE)
        return next((Verdict.parse(verdict).status for verdict in found), None)

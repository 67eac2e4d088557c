"""What a scan says, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.scan.evaluation.failures import Topic


class Severity(StrEnum):
    """What a finding means for the model that was asked about."""

    ERROR = "error"
    """It certainly ends the boot."""
    WARNING = "warning"
    """A risk: possible on the path, or certain off it."""
    NOTE = "note"
    """Worth knowing; decides nothing."""


class Prediction(StrEnum):
    """The verdict on a pair. A prediction: nothing was executed."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    REFUSED = "refused"
    """A resolver does not accept the pair."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found."""

    kind: Topic
    severity: Severity
    name: str
    """What is missing or refused: ``transformers.processing_utils.ImagesKwargs``."""
    provider: str
    """The release that should have it: ``transformers 4.38.2``."""
    consumer_file: str
    """Path as installed; empty when no file is meant."""
    line: int
    """Counted from 1; 0 when no file is meant."""
    guarded: str
    """``try``, ``version``, ``condition``, ``if``; empty when nothing stands between it and failure."""
    message: str
    function: str = ""
    """The function it happens in; empty at a module's own level."""
    error: str = ""
    """The exception Python raises."""
    on_path: bool = True
    """Whether the model's boot comes by."""
    chain: tuple[str, ...] = ()
    """Modules that lead there, the entry first."""
    first_version: str | None = None
    """The first version of the provider that has the name, where known."""
    last_version: str | None = None
    """The last one, None when the newest has it."""


@dataclass(frozen=True, slots=True)
class PairScan:
    """The scan of one pair for one model."""

    lmdeploy: str
    transformers: str
    model: str
    backend: str
    python: str
    verdict: Prediction
    findings: tuple[Finding, ...]
    declared: dict[str, Any] = field(default_factory=dict)
    """Declared facts: what the resolver says, the warned range, torch, wheels."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; ``prediction`` says that nothing was executed."""
        data = asdict(self)
        data["prediction"] = True
        return data


def judge(findings: tuple[Finding, ...], *, refused: bool) -> Prediction:
    """The verdict that findings amount to."""
    if refused:
        return Prediction.REFUSED
    severities = {finding.severity for finding in findings}
    if Severity.ERROR in severities:
        return Prediction.FAIL
    return Prediction.WARN if Severity.WARNING in severities else Prediction.PASS

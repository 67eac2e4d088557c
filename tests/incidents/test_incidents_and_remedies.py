"""Incidents are judged from records; remedies are proposed, tried, and written without losing a comment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness.cli.incidents_output import chosen_combinations
from harness.core.machine import machine
from harness.core.records import CheckRecord, DiagnosisRecord, Record, StageRecord
from harness.core.verdict import Reason, Stage, Verdict
from harness.incidents import MATRIX, load_incidents
from harness.incidents.verify import (
    BLOCKED,
    DIFFERENT,
    GONE,
    NO_HELP,
    REPRODUCES,
    VERIFIED,
    helped,
    verify,
)
from harness.index.releases import PackageIndex
from harness.matrix import Launch, expand, load_matrix
from harness.matrix.models import load_models
from harness.remedy.apply import apply_remedy
from harness.remedy.propose import propose
from harness.remedy.trial import try_remedies
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.matrix import Combination


@pytest.fixture(scope="module")
def combinations(tmp_path_factory: pytest.TempPathFactory) -> tuple[Combination, ...]:
    """The incidents' matrix; it names exact versions, so no index is asked."""
    from datetime import timedelta  # noqa: PLC0415 - used here only

    index = PackageIndex(tmp_path_factory.mktemp("index"), timedelta(days=1))
    return expand(load_matrix(MATRIX), load_models(ROOT / "models"), index)


def record_of(
    combination: Combination,
    verdict: str,
    *,
    signature: str | None = None,
    captures: Mapping[str, str] | None = None,
    asked: bool = True,
) -> Record:
    """A record that ended with the verdict, its last check diagnosed as told."""
    parsed = Verdict.parse(verdict)
    stages = []
    if parsed.stage is not None and parsed.reason is not None:
        diagnosis = DiagnosisRecord(
            signature=signature, family=parsed.reason, captures=dict(captures or {}), confidence=1, line="it says so"
        )
        check = CheckRecord(
            name="check", outcome=parsed.status, key="asked" if asked else "", seconds=1, diagnosis=diagnosis
        )
        stages = [StageRecord(stage=parsed.stage, verdict=verdict, seconds=1, checks=[check])]
    now = datetime(2026, 1, 4, tzinfo=UTC)
    return Record(
        id=combination.id,
        attempt=1,
        axes=combination.axes,
        verdict=verdict,
        expected=str(combination.expect),
        as_expected=None,
        stages=stages,
        machine=machine(),
        command="",
        inputs="",
        harness="0",
        started=now,
        finished=now,
        synthetic=True,
    )


def the(combinations: tuple[Combination, ...], label: str) -> Combination:
    (found,) = [each for each in combinations if each.id.endswith(f"-{label}")]
    return found


def test_every_incident_names_combinations_and_known_signatures(combinations: tuple[Combination, ...]) -> None:
    from harness.diagnose.catalogue import shipped  # noqa: PLC0415 - compiling the catalogue is this test's own cost

    incidents = load_incidents()
    assert [each.entry for each in incidents] == [1, 2, 3, 4, 5, 6]
    assert len(chosen_combinations(incidents, combinations)) >= 12
    known = {signature.id for signature in shipped().signatures}
    assert {each.signature for each in incidents if each.signature} <= known


@pytest.mark.parametrize(
    ("verdict", "finding"),
    [
        ("fail/import/entrypoint-moved-or-misused(lmdeploy.serve.api_server)", REPRODUCES),
        ("fail/import/crash", DIFFERENT),
        ("fail/boot/crash", DIFFERENT),
        ("pass", GONE),
        ("blocked/boot/driver-or-gpu-unavailable", GONE),
        ("blocked/import/platform-limits", BLOCKED),
        ("infra/install/hub-network", BLOCKED),
    ],
)
def test_whether_an_incident_reproduces(combinations: tuple[Combination, ...], verdict: str, finding: str) -> None:
    incident = load_incidents()[0]
    broken, repaired = the(combinations, "incident-1"), the(combinations, "incident-1-remedied")
    records = {
        broken.id: record_of(broken, verdict, signature=incident.signature),
        repaired.id: record_of(repaired, "blocked/boot/driver-or-gpu-unavailable"),
    }
    outcome = verify(incident, combinations, records)
    assert [proof.finding for proof in outcome.reproductions] == [finding]
    assert outcome.as_stated is (finding == REPRODUCES)


def test_a_failure_called_by_another_name_is_not_diagnosed(combinations: tuple[Combination, ...]) -> None:
    incident = load_incidents()[0]
    broken, repaired = the(combinations, "incident-1"), the(combinations, "incident-1-remedied")
    records = {
        broken.id: record_of(broken, "fail/import/entrypoint-moved-or-misused", signature="something-else"),
        repaired.id: record_of(repaired, "pass"),
    }
    assert not verify(incident, combinations, records).diagnosed


@pytest.mark.parametrize(
    ("verdict", "asked", "finding"),
    [
        ("pass", True, VERIFIED),
        ("blocked/preprocess/weights-missing-or-corrupt", False, VERIFIED),
        ("blocked/boot/driver-or-gpu-unavailable", True, VERIFIED),
        ("blocked/import/platform-limits", False, BLOCKED),
        ("fail/import/crash", True, NO_HELP),
        ("fail/configure/crash", True, NO_HELP),
        ("infra/install/hub-network", True, BLOCKED),
    ],
)
def test_when_a_remedy_counts(combinations: tuple[Combination, ...], verdict: str, asked: bool, finding: str) -> None:
    repaired = the(combinations, "incident-1-remedied")
    assert helped(record_of(repaired, verdict, asked=asked), Stage.IMPORT) == finding


def test_a_boot_that_was_never_tried_verifies_no_boot_remedy(combinations: tuple[Combination, ...]) -> None:
    repaired = the(combinations, "incident-2-remedied")
    verdict = "blocked/boot/driver-or-gpu-unavailable"
    assert helped(record_of(repaired, verdict, asked=False), Stage.BOOT) == BLOCKED
    assert helped(record_of(repaired, verdict, asked=True), Stage.BOOT) == VERIFIED


def symbol(combination: Combination, name: str) -> Record:
    provider, _, symbol_name = name.rpartition(".")
    return record_of(
        combination,
        f"fail/import/{Reason.SYMBOL}({name})",
        signature="x",
        captures={"provider": provider, "symbol": symbol_name},
    )


def test_the_logs_deadlock_is_walked_out_of(combinations: tuple[Combination, ...]) -> None:
    """From 4.57.3: BeamSearchScorer bounds it above, ImagesKwargs below; a version between has both."""
    broken = the(combinations, "incident-4")
    ran: list[str] = []

    def run(changed: Combination) -> Record:
        ran.append(changed.transformers)
        major, minor = (int(part) for part in changed.transformers.split(".")[:2])
        if (major, minor) > (4, 56):
            return symbol(changed, "transformers.BeamSearchScorer")
        if (major, minor) < (4, 42):
            return symbol(changed, "transformers.processing_utils.ImagesKwargs")
        return record_of(changed, "blocked/configure/weights-missing-or-corrupt", asked=False)

    trial = try_remedies(broken, symbol(broken, "transformers.BeamSearchScorer"), run)
    assert ran == ["4.56.2"]
    assert trial.verified is not None
    low = the(combinations, "incident-5")
    ran.clear()
    trial = try_remedies(low, symbol(low, "transformers.processing_utils.ImagesKwargs"), run)
    assert ran[-1] == "4.56.2"
    assert len(ran) == 2
    assert trial.verified is not None


def test_a_change_that_does_not_help_is_said_so(combinations: tuple[Combination, ...]) -> None:
    broken = the(combinations, "incident-4")
    failed = symbol(broken, "transformers.BeamSearchScorer")
    trial = try_remedies(broken, failed, lambda changed: record_of(changed, "fail/import/crash(SIGSEGV)"))
    assert [step.finding for step in trial.steps] == [NO_HELP]
    assert trial.verified is None


@pytest.mark.parametrize(
    ("label", "launch"),
    [("incident-1", Launch.SERVER), ("incident-2", Launch.LAUNCH_SCRIPT)],
)
def test_a_wrong_start_is_replaced(combinations: tuple[Combination, ...], label: str, launch: Launch) -> None:
    broken = the(combinations, label)
    proposal = propose(broken, record_of(broken, f"fail/boot/{Reason.ENTRYPOINT}"), [], [])
    assert proposal is not None
    assert proposal.combination.launch is launch
    assert proposal.combination.id != broken.id


def test_nothing_is_proposed_for_what_is_not_understood(combinations: tuple[Combination, ...]) -> None:
    broken = the(combinations, "incident-4")
    assert propose(broken, record_of(broken, "fail/import/crash(SIGSEGV)"), [], []) is None
    assert propose(broken, record_of(broken, "pass"), [], []) is None


def test_applying_keeps_every_comment(combinations: tuple[Combination, ...], tmp_path: Path) -> None:
    matrix = tmp_path / "matrix.yaml"
    before = (ROOT / "matrix.yaml").read_text()
    matrix.write_text(before)
    broken = the(combinations, "incident-4")
    trial = try_remedies(
        broken,
        symbol(broken, "transformers.BeamSearchScorer"),
        lambda changed: record_of(changed, "blocked/configure/weights-missing-or-corrupt", asked=False),
    )
    assert trial.verified is not None
    apply_remedy(matrix, trial.verified)
    after = matrix.read_text()
    comments = [line for line in before.splitlines() if line.strip().startswith("#")]
    assert [line for line in after.splitlines() if line.strip().startswith("#")] == comments
    assert len(load_matrix(matrix).include) == len(load_matrix(ROOT / "matrix.yaml").include) + 1
    assert "transformers: 4.56.2" in after

"""Incidents, judged from records."""

from __future__ import annotations

import pytest

from harness.cli.incidents_output import chosen_combinations
from harness.core.verdict import Stage
from harness.incidents import load_incidents
from harness.incidents.verify import BLOCKED, DIFFERENT, GONE, NO_HELP, REPRODUCES, VERIFIED, helped, verify
from tests.incidents.samples import combinations, record_of, the


def test_every_incident_names_combinations_and_known_signatures() -> None:
    from harness.diagnose.catalogue import shipped  # noqa: PLC0415 - compiling the catalogue is this test's own cost

    incidents = load_incidents()
    assert [each.entry for each in incidents] == [1, 2, 3, 4, 5, 6]
    assert len(chosen_combinations(incidents, combinations())) >= 12
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
def test_whether_an_incident_reproduces(verdict: str, finding: str) -> None:
    incident = load_incidents()[0]
    broken, repaired = the("incident-1"), the("incident-1-remedied")
    records = {
        broken.id: record_of(broken, verdict, signature=incident.signature),
        repaired.id: record_of(repaired, "blocked/boot/driver-or-gpu-unavailable"),
    }
    outcome = verify(incident, combinations(), records)
    assert [proof.finding for proof in outcome.reproductions] == [finding]
    assert outcome.as_stated is (finding == REPRODUCES)


def test_a_failure_called_by_another_name_is_not_diagnosed() -> None:
    incident = load_incidents()[0]
    broken, repaired = the("incident-1"), the("incident-1-remedied")
    records = {
        broken.id: record_of(broken, "fail/import/entrypoint-moved-or-misused", signature="something-else"),
        repaired.id: record_of(repaired, "pass"),
    }
    assert not verify(incident, combinations(), records).diagnosed


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
def test_when_a_remedy_counts(verdict: str, asked: bool, finding: str) -> None:
    repaired = the("incident-1-remedied")
    assert helped(record_of(repaired, verdict, asked=asked), Stage.IMPORT) == finding


def test_a_boot_that_was_never_tried_verifies_no_boot_remedy() -> None:
    repaired = the("incident-2-remedied")
    verdict = "blocked/boot/driver-or-gpu-unavailable"
    assert helped(record_of(repaired, verdict, asked=False), Stage.BOOT) == BLOCKED
    assert helped(record_of(repaired, verdict, asked=True), Stage.BOOT) == VERIFIED

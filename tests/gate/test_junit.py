"""JUnit, read by its consumers' parser."""

from __future__ import annotations

from junitparser import JUnitXml

from harness.core.comparison import Change
from harness.gate.junit import junit
from tests.gate.samples import cause, outcome, row


def test_junit_of_every_class_is_read_by_its_parser() -> None:
    rows = [row(number, change, tries=["fail/import/crash", "pass"]) for number, change in enumerate(Change)]
    suites = JUnitXml.fromstring(junit(outcome(rows, [cause(1)])).encode())
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (len(Change), 1, 1, 3)
    assert "flakyFailure" in junit(outcome(rows))
    assert "rerunFailure" in junit(outcome(rows))

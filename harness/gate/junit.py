"""The outcome as JUnit XML, with tries in Surefire's words: ``flakyFailure`` and ``rerunFailure``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.core.comparison import Change

if TYPE_CHECKING:
    from harness.gate.outcome import Cause, GateOutcome, Row

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MOST_TEXT = 8_000


def junit(outcome: GateOutcome) -> str:
    """The whole document."""
    causes = {each.id: each for each in outcome.causes}
    suite = ET.Element("testsuite", name=_clean(f"gate: {outcome.bump}"), timestamp=outcome.finished)
    for row in outcome.sorted_rows():
        suite.append(_case(row, causes.get(row.cause or "")))
    for name, tags in (("failures", {"failure"}), ("errors", {"error"}), ("skipped", {"skipped"})):
        suite.set(name, str(sum(any(child.tag in tags for child in case) for case in suite)))
    suite.set("tests", str(len(outcome.rows)))
    suite.set("time", f"{sum(row.seconds for row in outcome.rows):.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(row: Row, cause: Cause | None) -> ET.Element:
    name = row.id if row.id == row.reference else f"{row.id} (was {row.reference})"
    case = ET.Element("testcase", name=_clean(name), classname="gate", time=f"{row.seconds:.3f}")
    message = f"{row.change}: {row.before or 'not known'} → {row.after or 'not there'}"
    details = "\n".join(part for part in (cause.title, cause.line, cause.remedy) if part) if cause is not None else ""
    if row.change is Change.REGRESSED or row.must_met is False:
        _child(case, "failure", message, details)
        for verdict in row.tries[1:]:
            _child(case, "rerunFailure", verdict, details)
    elif row.change is Change.INFRASTRUCTURE or (row.must is not None and row.must_met is None):
        _child(case, "error", message if row.must is None else f"{message}; must reach {row.must}", details)
    elif row.change is Change.FLAKY:
        _child(case, "flakyFailure", row.tries[0], details)
    elif row.change in {Change.GONE, Change.NOT_TESTED, Change.STALE} or (row.after or "").startswith(
        ("blocked", "skipped")
    ):
        _child(case, "skipped", message, "")
    else:
        ET.SubElement(case, "system-out").text = _clean(message)
    return case


def _child(case: ET.Element, tag: str, message: str, text: str) -> None:
    child = ET.SubElement(case, tag, message=_clean(message), type=_clean(message.split(":", maxsplit=1)[0]))
    child.text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)[:MOST_TEXT]

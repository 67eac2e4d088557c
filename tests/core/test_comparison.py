"""The table of classes: what a change from one verdict to another is called."""

from __future__ import annotations

import itertools

import pytest

from harness.core.comparison import Change, compare
from harness.core.verdict import Verdict

SEEN = (
    "pass",
    "fail/import/crash",
    "fail/import/crash(SIGABRT)",
    "fail/see/wrong-answer",
    "blocked/boot/driver-or-gpu-unavailable",
    "blocked/preprocess/weights-missing-or-corrupt",
    "infra/install/hub-network",
    "skipped/resolve/excluded",
)


def test_every_pair_of_verdicts_has_a_class_and_every_verdict_is_as_itself() -> None:
    for before, after in itertools.product((None, *SEEN), repeat=2):
        if before is None and after is None:
            continue
        found = compare(_parsed(before), _parsed(after))
        assert found in set(Change) - {Change.FLAKY}
        if before == after and not str(before).startswith("infra"):
            assert found is Change.SAME


def _parsed(text: str | None) -> Verdict | None:
    return None if text is None else Verdict.parse(text)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("pass", "fail/import/crash", Change.REGRESSED),
        ("blocked/boot/driver-or-gpu-unavailable", "fail/import/crash", Change.REGRESSED),
        ("blocked/boot/driver-or-gpu-unavailable", "fail/see/wrong-answer", Change.NEW),
        ("blocked/boot/driver-or-gpu-unavailable", "pass", Change.NEW),
        ("pass", "blocked/boot/driver-or-gpu-unavailable", Change.NOT_TESTED),
        ("pass", "skipped/resolve/excluded", Change.NOT_TESTED),
        ("pass", "infra/resolve/hub-network", Change.INFRASTRUCTURE),
        ("fail/import/crash", "blocked/boot/driver-or-gpu-unavailable", Change.FIXED),
        ("fail/see/wrong-answer", "blocked/boot/driver-or-gpu-unavailable", Change.NOT_TESTED),
        ("fail/import/crash", "fail/import/crash(SIGABRT)", Change.OTHER_REASON),
        ("fail/import/crash", "pass", Change.FIXED),
        ("pass", None, Change.GONE),
        (None, "fail/import/crash", Change.NEW),
    ],
)
def test_the_class_of(before: str | None, after: str | None, change: Change) -> None:
    assert compare(_parsed(before), _parsed(after)) is change

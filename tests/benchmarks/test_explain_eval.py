"""The texts that explain is measured on, and how its remedies are graded."""

from __future__ import annotations

import pytest

from benchmarks.explain_eval import Grade, Report, Split, grade, load
from harness.diagnose import Evidence, classify

TEXT = "ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils'\n"


def test_every_text_has_one_source_and_each_split_has_texts() -> None:
    reports = load()
    assert len({report.source for report in reports}) == len(reports)
    assert {report.split for report in reports} == set(Split)


@pytest.mark.parametrize(
    ("rules", "worth"),
    [
        ({"versions": "transformers>=4.42"}, Grade.RIGHT),
        ({"versions": "transformers<4.42"}, Grade.VAGUE),
        ({"says": ("transformers",)}, Grade.RIGHT),
        ({"says": ("reboot",)}, Grade.VAGUE),
        ({"says": ("transformers",), "never": ("Install",)}, Grade.WRONG),
        ({"says": ("reboot",), "family": ("timeout",)}, Grade.WRONG),
    ],
)
def test_a_remedy_is_graded_by_rule(rules: dict[str, object], worth: Grade) -> None:
    given = {"source": "x", "split": "judging", "family": "symbol-removed-or-not-yet-added", "text": TEXT} | rules
    evidence = Evidence.from_log(TEXT)
    assert grade(Report.model_validate(given), classify(evidence), evidence) is worth

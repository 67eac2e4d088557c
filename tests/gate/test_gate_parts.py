"""The gate's parts alone: the table of classes, diffs, noise, shards, and outputs read by their consumers' parsers."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml
from markdown_it import MarkdownIt

from harness.core.verdict import Stage, Verdict
from harness.gate.annotations import workflow_commands
from harness.gate.baseline import Baseline, Must
from harness.gate.change import UnusableChange
from harness.gate.compare import Change, compare
from harness.gate.diff import read_diff
from harness.gate.judge import count, decide
from harness.gate.junit import junit
from harness.gate.markdown import COMMENT_BYTES, SUMMARY_BYTES, markdown
from harness.gate.noise import measure
from harness.gate.outcome import Cause, Outcome, Plan, Row
from harness.gate.shards import merge, pair_name, parse_shard
from harness.scheduling.shards import Shard
from tests import ROOT

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


RENOVATE = """\
diff --git a/requirements.txt b/requirements.txt
--- a/requirements.txt
+++ b/requirements.txt
@@ -1,5 +1,5 @@
 # pinned
-transformers==4.57.3 \\
-    --hash=sha256:aaaa
+transformers==5.0.0 \\
+    --hash=sha256:bbbb
 torch==2.8.0
-moved[extra]==1.0 ; python_version > "3.9"
+moved[extra]==1.0 ; python_version > "3.10"
diff --git a/uv.lock b/uv.lock
index 111..222 100644
--- a/uv.lock
+++ b/uv.lock
@@ -10,7 +10,7 @@
\x20
 [[package]]
 name = "pydantic"
-version = "2.12.5"
+version = "2.13.0"
 source = { registry = "https://example.org/simple" }
 dependencies = [
     { name = "typing-extensions" },
diff --git a/pyproject.toml b/pyproject.toml
--- a/pyproject.toml
+++ b/pyproject.toml
@@ -3,6 +3,6 @@
 requires-python = ">=3.11"
 dependencies = [
-    "lmdeploy>=0.16,<0.18",
+    "lmdeploy>=0.16,<0.19",
 ]
-version = "1.0"
+version = "1.1"
diff --git a/README.md b/README.md
--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-torch==1.0
+torch==2.0
"""


def test_a_diff_tells_bumps_and_nothing_else() -> None:
    reading = read_diff(RENOVATE)
    found = {bump.package: (str(bump.wanted), bump.before, bump.file, bump.line) for bump in reading.bumps}
    assert found == {
        "transformers": ("==5.0.0", "4.57.3", "requirements.txt", 2),
        "pydantic": ("==2.13.0", "2.12.5", "uv.lock", 13),
        "lmdeploy": ("<0.19,>=0.16", "<0.18,>=0.16", "pyproject.toml", 5),
    }
    assert "README.md" in reading.files


def test_poetry_carets_and_pylocks_are_read() -> None:
    text = (
        '--- a/pyproject.toml\n+++ b/pyproject.toml\n@@ -1 +1 @@\n-transformers = "^4.57"\n+transformers = "^5.0"\n'
        '--- a/pylock.toml\n+++ b/pylock.toml\n@@ -1,2 +1,2 @@\n name = "torch"\n-version = "2.7"\n+version = "2.8"\n'
    )
    assert [bump.requirement for bump in read_diff(text).bumps] == ["torch==2.8", "transformers<6,>=5.0"]


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("Pipfile", 'transformers = "==4.57.3"', 'transformers = "==5.0.0"'),
        ("Pipfile", 'transformers = {version = "==4.57.3"}', 'transformers = {version = "==5.0.0"}'),
        ("setup.cfg", "    transformers==4.57.3", "    transformers==5.0.0"),
        ("app/requirements/base.in", "transformers == 4.57.3  # why", "transformers == 5.0.0  # why"),
        ("constraints.txt", 'transformers==4.57.3;python_version>"3.9"', 'transformers==5.0.0;python_version>"3.9"'),
    ],
)
def test_every_file_that_a_bot_bumps_is_read(file: str, before: str, after: str) -> None:
    (bump,) = read_diff(f"--- a/{file}\n+++ b/{file}\n@@ -7 +7 @@\n-{before}\n+{after}\n").bumps
    assert (bump.requirement, bump.before, bump.line) == ("transformers==5.0.0", "4.57.3", 7)


def test_a_line_that_moved_to_another_hunk_is_no_bump() -> None:
    text = "--- a/requirements.txt\n+++ b/requirements.txt\n@@ -1 +0,0 @@\n-torch==2.8\n@@ -9,0 +9 @@\n+torch=={0}\n"
    assert read_diff(text.format("2.8")).bumps == ()
    assert [(each.requirement, each.before) for each in read_diff(text.format("2.9")).bumps] == [("torch==2.9", "2.8")]


def test_what_is_no_diff_is_refused_and_an_empty_one_is_not() -> None:
    with pytest.raises(UnusableChange):
        read_diff("hello\n")
    assert read_diff("").bumps == ()


LIMITS = {"latency": 0.25, "memory": 0.1}


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        ([0.10, 0.11, 0.10], [0.20, 0.21, 0.20], True),
        ([0.10, 0.11, 0.10], [0.11, 0.12, 0.11], False),  # within the limit
        ([0.10, 0.30, 0.20], [0.30, 0.28, 0.31], False),  # within the noise
        ([0.20, 0.21, 0.20], [0.10, 0.11, 0.10], False),
    ],
    ids=["worse", "limit", "noise", "better"],
)
def test_slower_is_told_from_noise(before: list[float], after: list[float], worse: bool) -> None:
    (found,) = measure({"see s": before}, {"see s": after}, LIMITS)
    assert found.worse is worse


def test_few_samples_say_nothing() -> None:
    assert measure({"see s": [0.1]}, {"see s": [9.0]}, LIMITS) == []


def row(number: int, change: Change = Change.SAME, **more: object) -> Row:
    name = f"lmdeploy{number}-<b>|@all"
    given = {"id": name, "reference": name, "change": change, "before": "pass", "after": "pass", **more}
    return Row.model_validate(given)


def outcome(rows: list[Row], causes: list[Cause] | None = None, shard: Shard | None = None) -> Outcome:
    code, decision = decide(rows)
    return Outcome(
        bump="transformers==5.0.0",
        bump_file="requirements.txt",
        bump_line=3,
        baseline="a baseline",
        harness="0",
        finished="2026-11-24T00:00:00Z",
        plan=Plan(digest="d", combinations=sorted(pair_name(each.reference, each.id) for each in rows)),
        shard=shard,
        decision=decision,
        exit_code=int(code),
        counts=count(rows),
        rows=rows,
        causes=causes or [],
    )


def cause(number: int) -> Cause:
    return Cause(
        id=f"c{number}",
        change=Change.REGRESSED,
        verdict="fail/import/crash",
        title=f"Title, {number}: with 100% \n two lines",
        line="\x1b[31mred\x00 <script>alert(1)</script>",
        cause="",
        remedy="::error::no",
        source="",
        combinations=["a"],
    )


def test_exit_codes_have_one_order() -> None:
    infra, bad = row(1, Change.INFRASTRUCTURE), row(2, Change.REGRESSED)
    outstanding = row(3, Change.NOT_TESTED, must=Stage.STRUCTURE)
    assert [int(decide(rows)[0]) for rows in ([], [row(0)], [infra, bad], [infra, outstanding], [outstanding])] == [
        3,
        0,
        1,
        4,
        5,
    ]
    assert int(decide([row(4, must=Stage.IMPORT, must_met=False)])[0]) == 1


def test_junit_of_every_class_is_read_by_its_parser() -> None:
    rows = [row(number, change, tries=["fail/import/crash", "pass"]) for number, change in enumerate(Change)]
    suites = JUnitXml.fromstring(junit(outcome(rows, [cause(1)])).encode())
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (len(Change), 1, 1, 2)
    assert "flakyFailure" in junit(outcome(rows))
    assert "rerunFailure" in junit(outcome(rows))


def test_markdown_is_bounded_and_nothing_in_it_is_markup() -> None:
    rows = [row(number, Change.REGRESSED, after="fail/import/crash" + "é" * 400) for number in range(6000)]
    for most in (SUMMARY_BYTES, COMMENT_BYTES):
        text = markdown(outcome(rows, [cause(1)]), most, every=True)
        assert len(text.encode()) <= most
        assert "left out here" in text
    html = MarkdownIt("commonmark").enable("table").render(markdown(outcome(rows[:2], [cause(1)]), 9000, every=True))
    assert "<script>" not in html
    assert html.count("<tr>") == 3
    assert "@all" not in html


def test_annotations_are_for_causes_and_bounded() -> None:
    lines = list(workflow_commands(outcome([row(1, Change.REGRESSED)], [cause(number) for number in range(30)])))
    assert len(lines) == 10
    assert all(line.startswith("::error file=requirements.txt,line=3,title=") and "\n" not in line for line in lines)
    assert "Title%2C 0%3A with 100%25" in lines[0]


def test_shards_that_do_not_fit_are_refused() -> None:
    rows = [row(1), row(2)]
    whole = outcome(rows)
    parts = [
        whole.model_copy(update={"shard": Shard(index=number + 1, count=2), "rows": [each]})
        for number, each in enumerate(rows)
    ]
    assert merge(parts).rows == rows
    foreign = parts[1].model_copy(update={"plan": Plan(digest="other", combinations=whole.plan.combinations)})
    empty = parts[1].model_copy(update={"rows": []})
    for wrong in ([], parts[:1], [parts[0], parts[0]], [whole], [parts[0], foreign], [parts[0], empty]):
        with pytest.raises(UnusableChange):
            merge(wrong)
    for text in ("0/2", "3/2", "x", "1/", "1/2/3"):
        with pytest.raises(UnusableChange):
            parse_shard(text)


def test_the_highest_demand_counts() -> None:
    known = Baseline(version=1, must=(Must(match="a*", stage=Stage.IMPORT), Must(match="ab", stage=Stage.BOOT)))
    assert known.must_reach("ab") is Stage.BOOT
    assert known.must_reach("ac") is Stage.IMPORT
    assert known.must_reach("x") is None


def test_workflows_fit_githubs_schema() -> None:
    files = sorted(str(file) for file in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert len(files) == 2
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [checker, "--builtin-schema", "vendor.github-workflows", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

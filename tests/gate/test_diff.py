"""Bumps, read out of diffs."""

from __future__ import annotations

import pytest

from harness.gate.change import UnusableChange
from harness.gate.diff import read_diff

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

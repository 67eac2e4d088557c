"""Bumps, read out of diffs."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.gate.change import UnusableChange
from harness.gate.diff import diff_since, read_diff

if TYPE_CHECKING:
    from pathlib import Path

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


def _change(file: str, before: str, after: str) -> str:
    old, new = before.splitlines(), after.splitlines()
    body = "\n".join([*(f"-{line}" for line in old), *(f"+{line}" for line in new)])
    return f"diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1,{len(old)} +1,{len(new)} @@\n{body}\n"


def _told(text: str, *known: str) -> set[tuple[str, str | None, str]]:
    return {(bump.package, bump.before, str(bump.wanted)) for bump in read_diff(text, known).bumps}


LOCK = '[[package]]\nname = "{}"\nversion = "{}"\nsource = {{ registry = "https://example.org/simple" }}\n'


def test_a_package_that_a_lock_holds_twice_is_bumped_where_it_moved() -> None:
    old = LOCK.format("numpy", "2.2.6") + LOCK.format("numpy", "2.4.5")
    new = LOCK.format("numpy", "2.2.6") + LOCK.format("numpy", "2.4.6")
    assert _told(_change("uv.lock", old, new)) == {("numpy", "2.4.5", "==2.4.6")}


def test_what_maintenance_adds_to_a_lock_is_no_bump_of_anything() -> None:
    old = LOCK.format("pydantic", "2.12.5")
    new = LOCK.format("pydantic", "2.13.0") + LOCK.format("typing-inspection", "0.4.2")
    assert _told(_change("svc/uv.lock", old, new)) == {("pydantic", "2.12.5", "==2.13.0")}


def test_locks_of_other_languages_name_no_packages_of_python() -> None:
    reading = read_diff(_change("Cargo.lock", LOCK.format("tokenizers", "0.22.0"), LOCK.format("tokenizers", "0.23.0")))
    assert (reading.bumps, reading.untested, reading.files) == ((), (), ("Cargo.lock",))


def test_the_json_of_pipenv_is_read_where_the_hunk_shows_the_name() -> None:
    entry = '"{}": {{\n    "hashes": [\n        "sha256:{}"\n    ],\n    "index": "pypi",\n    "version": "=={}"\n}},\n'
    text = _change("Pipfile.lock", entry.format("numpy", "aa", "2.4.5"), entry.format("numpy", "bb", "2.4.6"))
    assert _told(text) == {("numpy", "2.4.5", "==2.4.6")}
    nameless = _change("Pipfile.lock", '"version": "==2.4.5"', '"version": "==2.4.6"')
    assert len(read_diff(nameless).untested) == 2


def test_a_lock_says_more_than_the_range_beside_it() -> None:
    text = _change("pyproject.toml", '"pydantic>=2.12,<3"', '"pydantic>=2.13,<3"')
    assert _told(text) == {("pydantic", "<3,>=2.12", "<3,>=2.13")}
    text += _change("uv.lock", LOCK.format("pydantic", "2.12.5"), LOCK.format("pydantic", "2.13.1"))
    assert _told(text) == {("pydantic", "2.12.5", "==2.13.1")}


def test_two_services_that_go_to_different_versions_are_two_bumps() -> None:
    text = _change("a/requirements.txt", "numpy==2.4.4", "numpy==2.4.5") + _change(
        "b/requirements.txt", "numpy==2.3.0", "numpy==2.3.1"
    )
    assert _told(text) == {("numpy", "2.4.4", "==2.4.5"), ("numpy", "2.3.0", "==2.3.1")}


@pytest.mark.parametrize(
    ("before", "after", "bump"),
    [
        ("RUN pip install lmdeploy==0.16.0 fastapi", "RUN pip install lmdeploy==0.18.0 fastapi", "lmdeploy"),
        ("    'lmdeploy[all]>=0.16,<0.17' \\", "    'lmdeploy[all]>=0.18,<0.19' \\", "lmdeploy"),
        ("ARG LMDEPLOY_VERSION=0.16.0", "ARG LMDEPLOY_VERSION=0.18.0", "lmdeploy"),
        ('ENV TORCH_VERSION "2.8.0"', 'ENV TORCH_VERSION "2.9.0"', "torch"),
    ],
)
def test_what_a_dockerfile_installs_is_read(before: str, after: str, bump: str) -> None:
    reading = read_diff(_change("docker/api.Dockerfile", before, after), {"lmdeploy", "torch"})
    assert ([each.package for each in reading.bumps], reading.untested) == ([bump], ())


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("Dockerfile", "FROM python:3.11-slim@sha256:aa", "FROM python:3.11-slim@sha256:bb"),
        ("Dockerfile", "FROM openmmlab/lmdeploy:v0.16.0", "FROM openmmlab/lmdeploy:v0.18.0"),
        ("Dockerfile", "ARG CUDA_VERSION=12.8", "ARG CUDA_VERSION=13.0"),
        ("Dockerfile", "RUN pip install torch==2.8.0", "RUN pip install torch==2.9.0 --index-url https://example.org"),
        ("requirements.txt", "--extra-index-url https://a.example", "--extra-index-url https://b.example"),
        ("requirements.txt", "torch @ https://a.example/torch-1.whl", "torch @ https://a.example/torch-2.whl"),
        ("requirements.txt", "transformers==4.57.3", "transformers"),
        ("pyproject.toml", 'requires-python = ">=3.10"', 'requires-python = ">=3.11"'),
        (
            "pyproject.toml",
            'lmdeploy = { git = "https://a.example", rev = "1" }',
            'lmdeploy = { git = "x", rev = "2" }',
        ),
        ("uv.lock", 'source = { git = "https://a.example#aa" }', 'source = { git = "https://a.example#bb" }'),
        ("poetry.lock", 'resolved_reference = "aa"', 'resolved_reference = "bb"'),
        ("environment.yml", "  - numpy=2.4.5", "  - numpy=2.4.6"),
        ("pyproject.toml", '  { version = "^4.57", python = "<3.12" },', '  { version = "^5.0", python = "<3.12" },'),
        ("pyproject.toml", 'url = "https://a.example/cu126"', 'url = "https://a.example/cu128"'),
        ("uv.lock", 'source = { registry = "https://a.example" }', 'source = { registry = "https://b.example" }'),
        ("uv.lock", LOCK.format("torch", "2.8.0+cu126"), LOCK.format("torch", "2.8.0+cu128")),
        ("tool.py", '#   "lmdeploy==0.16.0",', '#   "lmdeploy==0.18.0",'),
        (".python-version", "3.11", "3.12"),
        (".github/workflows/ci.yml", "run: pip install lmdeploy==0.16.0", "run: pip install lmdeploy==0.18.0"),
        ("deploy/values.yaml", "image: openmmlab/lmdeploy:v0.16", "image: openmmlab/lmdeploy:v0.18"),
    ],
)
def test_what_changed_and_is_not_understood_is_named(file: str, before: str, after: str) -> None:
    untested = read_diff(_change(file, before, after), {"torch"}).untested
    assert untested
    assert all(re.match(rf"{re.escape(file)}:[1-4]: ", each) for each in untested)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("requirements.txt", "numpy==2.4.5 \\\n    --hash=sha256:aa", "numpy==2.4.5 \\\n    --hash=sha256:bb"),
        ("requirements.txt", "    # via fastapi", "    # via\n    #   fastapi\n    #   pydantic"),
        ("uv.lock", 'exclude-newer = "2026-01-02T00:00:00Z"', 'exclude-newer = "2026-01-09T00:00:00Z"'),
        ("uv.lock", '    { name = "boltons", specifier = ">=24" },', '    { name = "boltons", specifier = ">=25" },'),
        ("pyproject.toml", "[tool.ruff]\nline-length = 100", "[tool.ruff]\nline-length = 120"),
        ("pyproject.toml", 'requires = ["setuptools>=61"]', 'requires = ["setuptools>=80"]'),
        (".github/workflows/ci.yml", "uses: actions/checkout@v4", "uses: actions/checkout@v5"),
        (".pre-commit-config.yaml", "rev: v0.9.6", "rev: v0.9.9"),
        ("src/app.py", "import lmdeploy  # 0.16", "import lmdeploy  # 0.18"),
        ("Dockerfile", "# lmdeploy 0.16", "# lmdeploy 0.18"),
    ],
)
def test_what_moves_no_package_is_passed_over(file: str, before: str, after: str) -> None:
    reading = read_diff(_change(file, before, after))
    assert (reading.bumps, reading.untested) == ((), ())


def test_files_that_come_go_or_are_not_shown_are_named() -> None:
    text = (
        "diff --git a/poetry.lock b/poetry.lock\ndeleted file mode 100644\n--- a/poetry.lock\n+++ /dev/null\n"
        '@@ -1,2 +0,0 @@\n-name = "numpy"\n-version = "2.4.5"\n'
        "diff --git a/uv.lock b/uv.lock\nnew file mode 100644\n--- /dev/null\n+++ b/uv.lock\n"
        '@@ -0,0 +1,2 @@\n+name = "numpy"\n+version = "2.4.6"\n'
        "diff --git a/svc/uv.lock b/svc/uv.lock\nBinary files a/svc/uv.lock and b/svc/uv.lock differ\n"
        "diff --git a/requirements.txt b/svc/requirements.txt\nsimilarity index 100%\n"
        "rename from requirements.txt\nrename to svc/requirements.txt\n"
    )
    reading = read_diff(text)
    assert reading.bumps == ()
    assert [each.split(":")[0] for each in reading.untested] == ["poetry.lock", "uv.lock", "svc/uv.lock"]


def test_a_revision_shows_whole_files_those_marked_as_binary_too(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    package = '"numpy": {{\n{}    "version": "=={}"\n}},\n'
    many = "".join(f'    "sha256:{number}",\n' for number in range(40))
    git("init", "-b", "main")
    (tmp_path / ".gitattributes").write_text("Pipfile.lock -diff\n")
    (tmp_path / "Pipfile.lock").write_text(package.format(many, "2.4.5"))
    git("add", ".")
    git("commit", "-m", "x")
    (tmp_path / "Pipfile.lock").write_text(package.format(many, "2.4.6"))
    reading = read_diff(diff_since("main", tmp_path))
    assert [str(each) for each in reading.bumps] == ["numpy==2.4.6 (was 2.4.5)"]
    assert reading.untested == ()


def test_a_package_that_a_lock_adds_from_a_named_source_leaves_nothing_untested() -> None:
    block = '+[[package]]\n+name = "httpx"\n+version = "0.28.1"\n+\n+[package.source]\n+reference = "{}"\n'
    head = "--- a/poetry.lock\n+++ b/poetry.lock\n@@ -1,1 +1,7 @@\n a = 1\n"
    assert not read_diff(head + block.format("simple")).untested
    moved = head.replace("-1,1 +1,7", "-1,2 +1,2") + '-reference = "simple"\n+reference = "other"\n'
    assert read_diff(moved).untested

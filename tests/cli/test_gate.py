"""The gate on miniatures, through the command line: every exit code, and every class that a run can bring about."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from junitparser import JUnitXml

from harness.gate.outcome import GateOutcome
from tests.miniatures import (
    GOOD_BUILDER,
    PILLOW,
    MiniProject,
    lmdeploy_files,
    make_index,
    make_project,
    make_wheel,
    transformers_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.miniatures import Harness

MATRIX = """\
version: 1
axes:
  python: "3.11"
  lmdeploy: ["1.0", "1.1"]
  transformers: ["4.57.3"]
  backend: [transformers]
  model: [mini]
"""
FLAKY = """
import sys as _sys
if "gate-retries" not in __file__:
    SEE = "! ! ! ! ! ! ! ! ! ! ! !"
"""


@pytest.fixture(scope="module")
def gate_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate-index")
    make_index(folder)
    links = folder / "wheels"
    make_wheel(links, "lmdeploy", "1.1", lmdeploy_files(GOOD_BUILDER), ["torch", "pillow", "transformers"])
    make_wheel(links, "pillow", "1.1", PILLOW)
    flaky = transformers_files()
    flaky["transformers/__init__.py"] = _dedented(flaky["transformers/__init__.py"]) + FLAKY
    make_wheel(links, "transformers", "5.1.0", flaky)
    hanging = transformers_files()
    hanging["transformers/__init__.py"] = "import time\ntime.sleep(600)"
    make_wheel(links, "transformers", "5.2.0", hanging)
    return folder


def _dedented(text: str) -> str:
    return dedent(text).strip() + "\n"


@pytest.fixture(scope="module")
def accepted(gate_index: Path, tmp_path_factory: pytest.TempPathFactory, run_harness: Harness) -> Path:
    """A project whose good run is its baseline."""
    project = make_project(tmp_path_factory.mktemp("accepted") / "project", MATRIX)
    config = str(gate_index / "uv.toml")
    done = run_harness(project, "run", UV_CONFIG_FILE=config)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run_harness(project, "baseline", UV_CONFIG_FILE=config)
    assert done.returncode == 0, done.stderr
    (project.root / "accepted.yaml").write_text((project.root / "baseline.yaml").read_text())
    return project.root


@pytest.fixture
def gate(accepted: Path, gate_index: Path, run_harness: Harness) -> Iterator[Callable[..., tuple[int, dict[str, Any]]]]:
    """Run a gate in the accepted project, and give its exit code and JSON."""

    def run(*arguments: str, **extra: str) -> tuple[int, dict[str, Any]]:
        variables = {"UV_CONFIG_FILE": str(gate_index / "uv.toml"), **extra}
        done = run_harness(MiniProject(accepted), "gate", *arguments, "--format", "json", **variables)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else {"said": done.stderr}

    yield run
    (accepted / "baseline.yaml").write_text((accepted / "accepted.yaml").read_text())
    (accepted / "matrix.yaml").write_text(MATRIX)


def classes(outcome: dict[str, Any]) -> list[str]:
    return sorted(row["change"] for row in outcome["rows"])


def test_a_regression_ends_with_1_once_for_its_cause(accepted: Path, gate: Callable[..., Any]) -> None:
    code, outcome = gate("transformers==5.0.0", GITHUB_STEP_SUMMARY=str(accepted / "page.md"))
    assert code == 1
    assert classes(outcome) == ["regressed", "regressed"]
    assert len(outcome["rows"][0]["tries"]) == 2
    (cause,) = outcome["causes"]
    assert len(cause["combinations"]) == 2
    assert "wrong-answer" in cause["verdict"]
    folder = accepted / "reports" / "gate"
    suites = JUnitXml.fromfile(str(folder / "junit.xml"))
    assert (suites.tests, suites.failures) == (2, 2)
    assert "regressed" in (accepted / "page.md").read_text()
    assert GateOutcome.model_validate_json((folder / "gate.json").read_bytes()).exit_code == 1
    page = (accepted / "reports" / "index.html").read_text()
    assert "The gate: transformers==5.0.0" in page


def test_a_harmless_bump_ends_with_0(gate: Callable[..., Any]) -> None:
    code, outcome = gate("transformers==4.38.2")
    assert (code, classes(outcome)) == (0, ["same", "same"])


def test_a_flake_is_told_as_one(accepted: Path, gate: Callable[..., Any]) -> None:
    code, outcome = gate("transformers==5.1.0")
    assert (code, classes(outcome)) == (0, ["flaky", "flaky"])
    assert outcome["rows"][0]["tries"][1] == "pass"
    assert "flakyFailure" in (accepted / "reports" / "gate" / "junit.xml").read_text()
    assert not list((accepted / ".harness" / "gate-retries").iterdir())


def test_a_package_that_is_no_axis_is_added_to_the_lock(gate: Callable[..., Any]) -> None:
    code, outcome = gate("pillow==1.1")  # the newest one is in every stack already
    assert (code, outcome["rows"]) == (3, [])
    code, outcome = gate("pillow==1.0", "-k", "lmdeploy1.0")
    assert outcome["rows"][0]["id"].endswith("-with-pillow1.0")
    assert (code, classes(outcome)) == (0, ["same"])


def test_nothing_to_do_ends_with_3(gate: Callable[..., Any]) -> None:
    assert gate("transformers==4.57.3")[0] == 3
    assert gate()[0] == 3


def test_a_package_touches_only_the_stacks_that_held_what_it_comes_from(gate: Callable[..., Any]) -> None:
    code, outcome = gate("pillow==1.0", "--from", "0.9")
    assert (code, outcome["rows"]) == (3, [])
    assert outcome["notes"] == ["pillow: not touched are the combinations that hold 1.1 (2)"]
    code, outcome = gate("pillow==1.0", "--from", "1.1", "-k", "lmdeploy1.0")
    assert (code, outcome["rows"][0]["moved"]) == (0, ["pillow 1.1 → 1.0"])


def test_a_version_that_does_not_exist_is_a_mistake_in_gate_and_matrix_alike(
    accepted: Path, gate_index: Path, gate: Callable[..., Any], run_harness: Harness
) -> None:
    code, outcome = gate("transformers==99.0")
    assert (code, outcome["said"].strip()) == (
        2,
        "harness: there is no transformers 99.0; the nearest releases are 5.1.0 and 5.2.0",
    )
    (accepted / "matrix.yaml").write_text(MATRIX.replace('"1.1"', '"1.2"'))
    for command in ("plan", "run"):
        done = run_harness(MiniProject(accepted), command, UV_CONFIG_FILE=str(gate_index / "uv.toml"))
        assert done.returncode == 2
        assert "matrix.yaml:4:21: axes.lmdeploy[1]: there is no lmdeploy 1.2; the nearest" in done.stderr


def test_a_file_that_is_not_understood_is_named_and_never_green(accepted: Path, gate: Callable[..., Any]) -> None:
    diff = accepted / "image.diff"
    diff.write_text("--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1 +1 @@\n-FROM python:3.11\n+FROM python:3.12\n")
    code, outcome = gate("--from-diff", str(diff))
    assert (code, outcome["rows"]) == (5, [])
    assert "Dockerfile:1: FROM python:3.12" in outcome["decision"]
    assert gate("--from-diff", str(diff), "--dry-run")[0] == 5
    code, outcome = gate("transformers==4.38.2", "--from-diff", str(diff))
    assert (code, classes(outcome)) == (5, ["same", "same"])


def test_a_dry_run_tells_comparisons_stacks_size_and_time(gate: Callable[..., Any]) -> None:
    code, told = gate("transformers==5.2.0", "--dry-run")
    assert (code, told["comparisons"], told["stacks"]) == (0, 2, 2)
    assert told["groups"][0]["moved"] == ["transformers 4.57.3 → 5.2.0"]
    assert told["seconds"] > 0
    assert told["download_bytes"] >= 0


def test_what_fails_without_the_change_too_is_not_blamed_on_it(accepted: Path, gate: Callable[..., Any]) -> None:
    spec = accepted / "models" / "mini.yaml"
    kept = spec.read_text()
    assert "red" in kept
    spec.write_text(kept.replace("red", "pink"))
    try:
        code, outcome = gate("transformers==4.38.2")
    finally:
        spec.write_text(kept)
    assert (code, classes(outcome)) == (0, ["stale baseline", "stale baseline"])
    assert "accept a new run" in outcome["decision"]
    assert outcome["rows"][0]["control"] == outcome["rows"][0]["after"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("transformers",),
        ("a b",),
        ("--shard", "6/5"),
        ("--from-diff", "no-such-revision"),
        ("--from", "1.0"),
        ("a==1", "--from", "?"),
    ],
)
def test_mistakes_end_with_2_and_one_line(gate: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    code, outcome = gate(*arguments)
    assert code == 2
    assert len(outcome["said"].strip().splitlines()) == 1


def test_a_must_list_that_matches_nothing_is_a_mistake(accepted: Path, gate: Callable[..., Any]) -> None:
    demand(accepted, "no-such-*")
    code, outcome = gate("transformers==4.38.2")
    assert code == 2
    assert "no-such-*" in outcome["said"]


def test_what_must_be_tested_and_cannot_ends_with_5(accepted: Path, gate: Callable[..., Any]) -> None:
    demand(accepted, "lmdeploy1.0-*")
    weights = accepted / "models" / "mini" / "model.safetensors"
    weights.unlink()
    try:
        code, outcome = gate("transformers==4.38.2")
    finally:
        weights.write_bytes(b"nothing")
    assert (code, classes(outcome)) == (5, ["not tested", "not tested"])
    assert sum(row["must"] == "structure" and row["must_met"] is None for row in outcome["rows"]) == 1


def demand(project: Path, pattern: str) -> None:
    file = project / "baseline.yaml"
    file.write_text(file.read_text().replace("must: []", f'must:\n  - match: "{pattern}"'))


def test_a_matrix_changed_in_the_branch_is_new_and_gone(accepted: Path, gate: Callable[..., Any]) -> None:
    (accepted / "matrix.yaml").write_text(MATRIX.replace('["4.57.3"]', '["4.38.2"]'))
    code, outcome = gate()
    assert (code, classes(outcome)) == (0, ["gone", "gone", "new", "new"])


def test_a_diff_touches_only_what_it_comes_from(accepted: Path, gate: Callable[..., Any]) -> None:
    diff = accepted / "bump.diff"
    diff.write_text(
        "diff --git a/requirements.txt b/requirements.txt\n--- a/requirements.txt\n+++ b/requirements.txt\n"
        "@@ -1,2 +1,2 @@\n-lmdeploy==1.0\n+lmdeploy==1.1\n transformers==4.57.3\n"
    )
    code, outcome = gate("--from-diff", str(diff))
    assert code == 0
    (row,) = outcome["rows"]
    assert row["reference"].startswith("lmdeploy1.0-")
    assert row["id"].startswith("lmdeploy1.1-")
    assert (outcome["bump_file"], outcome["bump_line"]) == ("requirements.txt", 1)


def test_a_diff_of_several_packages_touches_what_stands_at_all_of_them(
    accepted: Path, gate_index: Path, gate: Callable[..., Any], run_harness: Harness
) -> None:
    diff = accepted / "both.diff"
    lines = "@@ -1,2 +1,2 @@\n-lmdeploy=={0}\n-transformers==4.57.3\n+lmdeploy==1.1\n+transformers==4.38.2\n"
    for before, touched in (("1.0", 1), ("0.9", 2)):
        diff.write_text("--- a/requirements.txt\n+++ b/requirements.txt\n" + lines.format(before))
        told = ("--from-diff", str(diff), "--dry-run", "--format", "json")
        done = run_harness(MiniProject(accepted), "gate", *told, UV_CONFIG_FILE=str(gate_index / "uv.toml"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["comparisons"] == touched
    assert gate("--from-diff", str(accepted / "accepted.yaml"))[0] == 2


def test_shards_together_are_the_whole(accepted: Path, gate: Callable[..., Any], run_harness: Harness) -> None:
    for part in (1, 2):
        code, outcome = gate("transformers==4.38.2", "--shard", f"{part}/2", "--out", f"part-{part}")
        assert (code, len(outcome["rows"])) == (0, 1)
    files = [str(accepted / f"part-{part}" / "gate.json") for part in (1, 2)]
    whole = run_harness(MiniProject(accepted), "gate-merge", *files, "--format", "json")
    assert whole.returncode == 0, whole.stderr
    assert len(json.loads(whole.stdout)["rows"]) == 2
    lacking = run_harness(MiniProject(accepted), "gate-merge", files[0])
    assert lacking.returncode == 2
    assert "missing: 2" in lacking.stderr


def test_a_network_cut_in_the_middle_ends_with_4_and_blames_no_version(
    accepted: Path, gate_index: Path, gate: Callable[..., Any], tmp_path: Path
) -> None:
    with cut_server(gate_index / "wheels", "lmdeploy-1.1") as address:
        (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{address}"]\n')
        code, outcome = gate(
            "transformers==4.38.2",
            UV_CONFIG_FILE=str(tmp_path / "uv.toml"),
            UV_CACHE_DIR=str(tmp_path / "cache"),
            UV_OFFLINE="0",
            UV_HTTP_RETRIES="0",
            HARNESS_HOME=str(tmp_path / "home"),
        )
    assert (code, classes(outcome)) == (4, ["infrastructure", "same"])
    assert {cause["change"] for cause in outcome["causes"]} == {"infrastructure"}
    suites = JUnitXml.fromfile(str(accepted / "reports" / "gate" / "junit.xml"))
    assert (suites.failures, suites.errors) == (0, 1)


class cut_server:  # noqa: N801 - used as a context manager, like a function
    """A folder of wheels over HTTP; whoever asks for a file with ``word`` in its name is cut off."""

    def __init__(self, folder: Path, word: str) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self) -> None:
                if word in self.path:
                    self.close_connection = True
                    self.connection.close()
                else:
                    super().do_GET()

            def do_HEAD(self) -> None:
                self.do_GET() if word in self.path else super().do_HEAD()

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (OSError, ValueError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_an_interrupt_ends_with_130(
    accepted: Path, gate_index: Path, miniature_environment: dict[str, str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "gate", "transformers==5.2.0"],
        cwd=accepted,
        env={
            **miniature_environment,
            "UV_CONFIG_FILE": str(gate_index / "uv.toml"),
            "HARNESS_HOME": str(tmp_path / "home"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )
    scratch = tmp_path / "home" / "scratch"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (scratch.is_dir() and any(scratch.iterdir())):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_accepting_again_keeps_what_a_person_wrote(accepted: Path, gate_index: Path, run_harness: Harness) -> None:
    file = accepted / "baseline.yaml"
    kept = file.read_text()
    try:
        demand(accepted, "lmdeploy1.0-*  # ours")
        file.write_text(file.read_text().replace('# ours"', '"  # ours'))
        before = file.read_text()
        done = run_harness(MiniProject(accepted), "baseline", UV_CONFIG_FILE=str(gate_index / "uv.toml"))
        assert done.returncode == 0, done.stderr
        assert file.read_text() == before
        file.write_text(before.replace("must:", "musts:"))
        bad = run_harness(MiniProject(accepted), "gate", "transformers==4.38.2")
        assert bad.returncode == 2
        assert "baseline.yaml:" in bad.stderr
    finally:
        file.write_text(kept)

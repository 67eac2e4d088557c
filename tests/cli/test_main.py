"""The whole pipeline on miniatures, through the command line, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from harness.core.records import Record
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.results.store import ResultStore
from tests.miniatures import PLANTED_TOKEN, MiniProject, make_project

if TYPE_CHECKING:
    from tests.miniatures import Harness


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, run_harness: Harness
) -> tuple[MiniProject, subprocess.CompletedProcess[str]]:
    project = make_project(tmp_path_factory.mktemp("ran") / "project")
    return project, run_harness(project, "run")


def verdicts(project: MiniProject) -> dict[str, Verdict]:
    records = ResultStore(project.root / "reports").records()
    return {record.id.removesuffix("-mini-py3.11"): Verdict.parse(record.verdict) for record in records}


def test_each_behaviour_gets_its_true_verdict(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    found = verdicts(ran[0])
    assert found["lmdeploy1.0-transformers4.57.3-transformers"] == Verdict(Status.PASS)
    assert found["lmdeploy1.0-transformers4.38.2-transformers"] == Verdict(Status.PASS)
    wrong = found["lmdeploy1.0-transformers5.0.0-transformers"]
    assert (wrong.status, wrong.stage, wrong.reason) == (Status.FAIL, Stage.SEE, Reason.WRONG_ANSWER)
    missing = found["lmdeploy1.0-transformers4.38.2-pytorch"]
    assert (missing.status, missing.stage, missing.reason) == (Status.FAIL, Stage.IMPORT, Reason.SYMBOL)
    assert missing.detail == "transformers.processing_utils.ImagesKwargs"
    assert found["lmdeploy1.0-transformers5.0.0-pytorch"].reason is Reason.EXCLUDED
    refused = found["lmdeploy3.0-transformers4.57.3-pytorch"]
    assert (refused.stage, refused.reason) == (Stage.RESOLVE, Reason.RESOLVER_CONFLICT)


@pytest.mark.parametrize(
    ("lmdeploy", "reason"),
    [("2.0", Reason.TIMEOUT), ("2.1", Reason.CRASH), ("2.2", Reason.CRASH)],
    ids=["hangs", "aborts", "ends without a record"],
)
def test_a_child_that_says_nothing_is_told_by_its_end(
    ran: tuple[MiniProject, subprocess.CompletedProcess[str]], lmdeploy: str, reason: Reason
) -> None:
    verdict = verdicts(ran[0])[f"lmdeploy{lmdeploy}-transformers4.57.3-pytorch"]
    assert (verdict.status, verdict.stage, verdict.reason) == (Status.FAIL, Stage.IMPORT, reason)


def test_every_non_pass_carries_a_reason_and_a_line(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    for record in ResultStore(ran[0].root / "reports").records():
        verdict = Verdict.parse(record.verdict)
        if verdict.status in {Status.PASS, Status.SKIPPED}:
            continue
        last = record.stages[-1]
        decided = [check for check in last.checks if check.outcome is not Status.PASS]
        assert decided, record.id
        assert decided[0].diagnosis is not None, record.id
        assert decided[0].diagnosis.line, record.id


def test_nothing_a_child_started_outlives_it(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    project = str(ran[0].root)
    alive = [
        process for process in psutil.process_iter(["cmdline"]) if project in " ".join(process.info["cmdline"] or [])
    ]
    assert alive == []
    record = next(each for each in ResultStore(ran[0].root / "reports").records() if "lmdeploy2.3" in each.id)
    assert any(check.facts.get("processes_left_behind") == 1 for check in record.stages[-1].checks)


def test_no_secret_is_written_down(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    project, done = ran
    assert PLANTED_TOKEN not in done.stdout + done.stderr
    for file in project.root.rglob("*"):
        if file.is_file() and "environments" not in file.parts:
            content = file.read_bytes()
            assert PLANTED_TOKEN.encode() not in content, file
            assert b"secretpassword" not in content, file


def test_logs_are_bounded(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    logs = list((ran[0].root / "reports" / "logs").glob("*.log"))
    assert logs
    assert max(log.stat().st_size for log in logs) < 3 * 1024**2


def test_report_and_summary_are_written(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    project, done = ran
    page = (project.root / "reports" / "index.html").read_text()
    assert "lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11" in page
    assert "Traceback" not in done.stderr
    assert "combinations:" in done.stdout
    assert done.returncode == 1  # the matrix expects what miniatures do not deliver


def test_a_second_run_asks_nothing_again(
    ran: tuple[MiniProject, subprocess.CompletedProcess[str]], run_harness: Harness
) -> None:
    project = ran[0]
    before = (project.root / "reports" / "results.jsonl").read_bytes()
    again = run_harness(project, "run", "-k", "lmdeploy1.0", "--format", "json")
    assert (project.root / "reports" / "results.jsonl").read_bytes() == before
    assert {each["attempt"] for each in json.loads(again.stdout)} == {1}


def test_a_run_has_one_name_in_all_its_records_and_the_next_another(
    mini_project: MiniProject, run_harness: Harness
) -> None:
    run_harness(mini_project, "run", "-k", "lmdeploy1.0", "-k", "-transformers-")
    store = ResultStore(mini_project.root / "reports")
    (first,) = {each.run for each in store.records()}
    run_harness(mini_project, "run", "-k", "4.57.3-transformers-", "--fresh")
    (second,) = {each.run for each in store.attempts()} - {first}
    assert second > first > ""
    named = run_harness(mini_project, "results", "--where", f"run={second}", "--format", "json")
    assert len(json.loads(named.stdout)) == 1


def test_records_fit_their_published_schema(ran: tuple[MiniProject, subprocess.CompletedProcess[str]]) -> None:
    schema = json.loads((ran[0].root / "reports" / "record.schema.json").read_text())
    assert schema == Record.model_json_schema(mode="serialization")
    lock = {each.lock for each in ResultStore(ran[0].root / "reports").records() if each.lock}
    assert lock
    for name in lock:
        assert (ran[0].root / "reports" / "locks" / str(name) / "pylock.toml").read_text().startswith("lock-version")


def test_kill_9_loses_nothing_finished_and_leaves_no_orphan(
    mini_project: MiniProject, miniature_environment: dict[str, str], run_harness: Harness
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "-j", "1"],
        cwd=mini_project.root,
        env=miniature_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    results = mini_project.root / "reports" / "results.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not results.exists() or results.read_bytes().count(b"\n") < 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = results.read_bytes().splitlines()
    assert 2 <= len(finished) < 14
    assert _gone(str(mini_project.root))
    again = run_harness(mini_project, "run")
    assert again.returncode == 1
    assert results.read_bytes().splitlines()[: len(finished)] == finished
    records = ResultStore(mini_project.root / "reports").records()
    assert len(records) == 14
    assert all(each.attempt == 1 for each in records)


def _gone(folder: str) -> bool:
    """Whether every process that works in the folder ends within two seconds."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        left = [each for each in psutil.process_iter(["cmdline"]) if folder in " ".join(each.info["cmdline"] or [])]
        if not left:
            return True
        time.sleep(0.05)
    return False


def test_interrupt_ends_with_130_and_says_what_is_kept(
    mini_project: MiniProject, miniature_environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "-k", "lmdeploy2.0"],
        cwd=mini_project.root,
        env=miniature_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background inherits a SIGINT that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )
    scratch = mini_project.root / ".harness" / "scratch"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (scratch.is_dir() and any(scratch.iterdir())):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert _gone(str(mini_project.root))
    assert list(scratch.iterdir()) == []


def test_a_ruin_is_not_taken_for_an_environment(mini_project: MiniProject, run_harness: Harness) -> None:
    run_harness(mini_project, "run", "-k", "transformers4.57.3-transformers")
    environments = mini_project.root / ".harness" / "environments"
    (folder,) = [each for each in environments.iterdir() if each.is_dir()]
    (folder / "harness-finished.json").write_text('{"lock": "of another", "seconds": 1}')
    (module,) = folder.glob("lib/*/site-packages/transformers/__init__.py")
    module.unlink()
    done = run_harness(mini_project, "run", "-k", "transformers4.57.3-transformers", "--fresh", "--format", "json")
    (record,) = json.loads(done.stdout)
    assert (record["verdict"], record["attempt"]) == ("pass", 2)


def test_bad_usage_and_bad_files_end_with_2_and_no_traceback(mini_project: MiniProject, run_harness: Harness) -> None:
    nothing = run_harness(mini_project, "run", "no-such-*")
    assert nothing.returncode == 2
    assert "lmdeploy-harness plan" in nothing.stderr
    mini_project.matrix.write_text(mini_project.matrix.read_text().replace("backend:", "backends:"))
    bad = run_harness(mini_project, "plan")
    assert bad.returncode == 2
    assert "matrix.yaml:" in bad.stderr
    assert "backend" in bad.stderr
    missing = run_harness(mini_project, "run", "--matrix", "elsewhere.yaml")
    assert missing.returncode == 2
    for done in (nothing, bad, missing):
        assert "Traceback" not in done.stderr


def test_remedies_are_run_one_upon_the_other(mini_project: MiniProject, run_harness: Harness) -> None:
    done = run_harness(mini_project, "remedy", "lmdeploy1.0-transformers4.38.2-pytorch-mini-py3.11", "--format", "json")
    assert "Traceback" not in done.stderr
    trial = json.loads(done.stdout)
    assert "ImagesKwargs" in trial["verdict"]
    assert len(trial["steps"]) >= 2
    assert trial["steps"][0]["verdict"].startswith("fail/resolve/")  # no miniature has the version that the table names
    assert trial["steps"][1]["change"].startswith("let the resolver choose")


def test_plan_counts_without_installing(mini_project: MiniProject, run_harness: Harness) -> None:
    done = run_harness(mini_project, "plan", "--format", "json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert len(plan["combinations"]) == 14
    assert plan["stacks_built"] == 0
    assert not (mini_project.root / ".harness" / "environments").exists()


def test_gc_keeps_what_records_need(mini_project: MiniProject, run_harness: Harness) -> None:
    run_harness(mini_project, "run", "-k", "4.57.3-transformers-")
    environments = mini_project.root / ".harness" / "environments"
    kept = {each.name for each in environments.iterdir() if each.is_dir()}
    (environments / "0123456789abcdef").mkdir()
    assert run_harness(mini_project, "gc").returncode == 0
    assert {each.name for each in environments.iterdir() if each.is_dir()} == kept
    run_harness(mini_project, "gc", "--all")
    assert not [each for each in environments.iterdir() if each.is_dir()]
    assert len(ResultStore(mini_project.root / "reports").records()) == 1

"""Runs told apart in the records: the trend, and what the last one changed."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

from harness.core.files import write_atomically
from harness.core.verdict import Stage
from harness.matrix.model_files import load_models
from harness.report import build_context
from harness.report.render import place, ticked
from harness.report.runs import PAUSE, runs_of
from harness.report.wording import EMULATED
from harness.results.store import ResultStore
from harness.session.publish import Publisher
from tests import ROOT
from tests.report.extras import MODELS
from tests.report.samples import START, on_gpu, record_of, story
from tests.report.troubles import IMAGES_KWARGS, NO_GPU

if TYPE_CHECKING:
    from pathlib import Path

    from harness.core.records import Record


def point(lmdeploy: str, transformers: str = "4.57.3", backend: str = "pytorch") -> dict[str, str]:
    return {
        "python": "3.11",
        "lmdeploy": lmdeploy,
        "transformers": transformers,
        "backend": backend,
        "model": "canary",
    }


def at(record: Record, minutes: float, attempt: int = 1) -> Record:
    started = START + timedelta(minutes=minutes)
    update = {"started": started, "finished": started + timedelta(minutes=1), "attempt": attempt}
    return record.model_copy(update=update)


def test_a_pause_or_a_second_attempt_begins_a_run() -> None:
    one, two = record_of(point("0.16.0")), record_of(point("0.18.0"))
    pause = PAUSE.total_seconds() / 60
    assert [len(run) for run in runs_of([at(one, 0), at(two, pause)])] == [2]
    assert [len(run) for run in runs_of([at(one, 0), at(two, pause + 2)])] == [1, 1]
    assert [len(run) for run in runs_of([at(one, 0), at(two, 1), at(one, 2, 2)])] == [2, 1]


def test_a_named_run_is_one_however_long_it_rests() -> None:
    one, two = (
        record_of(point(version)).model_copy(update={"run": "20261123T080000Z-1"}) for version in ("1.0", "2.0")
    )
    old = record_of(point("0.16.0"))
    runs = runs_of([at(two, 900), at(one, 0), at(one, 901, 2), at(old, 30)])
    assert [[(record.axes["lmdeploy"], record.attempt) for record in run] for run in runs] == [
        [("1.0", 1), ("2.0", 1), ("1.0", 2)],
        [("0.16.0", 1)],
    ]


def test_the_trend_is_what_was_known_after_each_run() -> None:
    broken, mended = record_of(point("0.16.0"), IMAGES_KWARGS), record_of(point("0.16.0"), NO_GPU)
    other = record_of(point("0.18.0"), NO_GPU)
    context = build_context([at(broken, 0), at(other, 1), at(mended, 100, 2)], generated=START)
    assert context.trend is not None
    told = [(it.tested, it.counts["fail"], it.counts["blocked"]) for it in context.trend.points]
    assert told == [(2, 1, 1), (1, 0, 2)]
    assert context.changes is not None
    assert context.changes.since == "the run of 2026-11-23 08:00 UTC"
    assert [(it.id, it.change) for it in context.changes.entries] == [(broken.id, "fixed")]
    assert context.changes.counts["same"] == 1


def test_a_first_run_has_nothing_to_compare() -> None:
    context = build_context([at(record_of(point("0.18.0")), 0)], generated=START)
    assert context.changes is None
    assert context.trend is not None
    assert len(context.trend.points) == 1


def test_evidence_stands_beside_the_matrix() -> None:
    own, beside = record_of(point("0.18.0"), NO_GPU), record_of(point("0.11.1", "4.38.2"), IMAGES_KWARGS)
    context = build_context([beside, own], generated=START, extras={"beside": [beside.id]})
    assert [(it.id, it.beside) for it in context.combinations] == [(own.id, False), (beside.id, True)]
    assert sum(context.counts.values()) == 1
    assert context.causes[0].combinations == [0]
    assert [facet.rows for facet in context.facets] == [["0.18.0"]]


def test_the_publisher_takes_the_evidence_of_incidents_along(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    own, evidence, stray = (record_of(point(version), NO_GPU) for version in ("0.18.0", "0.16.0", "0.14.0"))
    for record in (own, evidence, stray):
        store.append(record)
    row = f'{{"id": "1", "title": "t", "combination": "{evidence.id}", "remedy": "r"}}'
    write_atomically(tmp_path / "incidents.json", f'{{"rows": [{row}]}}')
    target = SimpleNamespace(gpu_memory_gib=None, platform=None, driver=None)
    asked = SimpleNamespace(id=own.id, model="canary", target=target)
    session = SimpleNamespace(combinations=(asked,), models=load_models(ROOT / "models"))
    publisher = Publisher(store, session)  # type: ignore[arg-type]  # the two things of a session that it asks for
    assert [record.id for record in publisher.attempts()] == [own.id, evidence.id]
    assert publisher.extras()["beside"] == [evidence.id]
    assert len(Publisher(store, session, everything=True).attempts()) == 3  # type: ignore[arg-type]  # same


def test_the_card_and_the_packages_that_ran_are_facts() -> None:
    record = on_gpu(record_of(point("0.18.0", backend="turbomind")), peak_mib=9000, foreign=2)
    entry = build_context([record], generated=START).combinations[0]
    assert entry.gpu is not None
    assert (entry.gpu.fits, entry.gpu.tainted, entry.gpu.foreign_processes, len(entry.gpu.held)) == (False, True, 2, 60)
    assert entry.engine is not None
    assert (entry.engine.requested, entry.engine.actual) == ("turbomind", "turbomind")
    assert entry.differences["package-003"] is None


def test_an_answer_says_what_was_not_its_lock() -> None:
    context = build_context([on_gpu(record_of(point("0.18.0")))], generated=START)
    answer = context.answers[0]
    assert answer.versions["torch"] == "2.10.0"
    assert answer.shown is not None
    assert "beside 3 packages that were not the lock's: torch 2.11.0+cu130, numpy 2.2.6" in answer.shown.text
    assert answer.memory is not None
    assert "took 6.1 GiB of GPU memory when allowed 8.0, on this stack" in answer.memory.text
    assert answer.commands[0].label.startswith("Install its lock")


def test_a_stack_that_is_its_lock_is_preferred() -> None:
    apart, clean = on_gpu(record_of(point("0.18.0"))), on_gpu(record_of(point("0.16.0")), loud=False)
    context = build_context([apart, clean], generated=START)
    assert context.answers[0].versions["lmdeploy"] == "0.16.0"


def test_quantisation_is_told_by_engine() -> None:
    context = build_context(story(), generated=START, extras={"models": MODELS})
    cells = {(cell.method, cell.backend): cell.best for cell in context.methods}
    assert set(cells) == {(m, b) for m in ("none", "gptq-int4") for b in ("pytorch", "turbomind", "transformers")}
    best = [context.combinations[index] for index in cells["none", "pytorch"]]
    assert [entry.axes["lmdeploy"] for entry in best] == ["0.18.0", "0.16.0", "0.14.0", "0.12.3", "0.11.1"]
    assert best[0].status == "pass"


def test_an_emulated_stage_is_never_shown_without_the_word() -> None:
    entry = build_context([record_of(point("0.18.0"), NO_GPU)], generated=START).combinations[0]
    assert place(entry.model_copy(update={"height": Stage.EMULATE})) == EMULATED


def test_backticks_become_code_and_nothing_else_does() -> None:
    assert ticked("run `a<b>` now") == "run <code>a&lt;b&gt;</code> now"
    assert ticked("one ` alone <i>") == "one ` alone &lt;i&gt;"

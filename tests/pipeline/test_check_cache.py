"""Answers that are kept: each question is asked once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from harness.core.files import digest
from harness.core.verdict import Stage, Status
from harness.pipeline.check_cache import CheckCache, CheckResult, StageResult

if TYPE_CHECKING:
    from pathlib import Path


def test_a_question_is_asked_once_by_all(tmp_path: Path) -> None:
    book = CheckCache(tmp_path)
    asked: list[int] = []
    answer = CheckResult(
        key=digest("q"), check="c", stages=[StageResult(stage=Stage.IMPORT, outcome=Status.PASS)], seconds=1
    )

    def find_out() -> CheckResult:
        asked.append(1)
        return answer

    threads = [threading.Thread(target=book.ask, args=(answer.key, find_out)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert book.ask(answer.key, find_out) == (answer, True)


def test_an_answer_that_may_change_is_not_kept(tmp_path: Path) -> None:
    book = CheckCache(tmp_path)
    passing = CheckResult(key=digest("q"), check="c", stages=[], seconds=1, final=False)
    book.ask(passing.key, lambda: passing)
    assert book.recall(passing.key) is None

"""Answers to questions already asked: one file for each, named by the hash of everything the answer depends on.

A question is one check of one stage in one environment. Two combinations whose questions have the same key share the
answer, in one run and across runs; a run that is killed loses at most the question it was asking.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from harness.core.files import write_atomically
from harness.core.records import ExceptionRecord
from harness.core.verdict import Reason, Stage, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class StageResult(BaseModel):
    """What one check says of one stage, before the catalogue of known failures has looked at it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    outcome: Status
    message: str = ""
    reason: Reason | None = None
    """The family, when the child or the harness itself knows it; otherwise the diagnosis decides."""
    exception: ExceptionRecord | None = None
    facts: dict[str, JsonValue] = {}
    seconds: float = 0.0


class CheckResult(BaseModel):
    """What came of one child process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    check: str
    stages: list[StageResult]
    seconds: float
    peak_memory_mib: float | None = None
    log_tail: str = ""
    final: bool = True
    """False when asking again could change it (killed from outside, out of time): never kept."""


@dataclass(slots=True)
class CheckCache:
    """The answers in one folder."""

    folder: Path
    _asking: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _new: set[str] = field(default_factory=set)
    _passing: dict[str, CheckResult] = field(default_factory=dict)
    """Answers that asking again could change: good for this run, and never kept."""

    def recall(self, key: str) -> CheckResult | None:
        """The kept answer, or None. A damaged file counts as none."""
        try:
            return CheckResult.model_validate_json(self._file(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def prepare(
        self,
        keys: Sequence[str],
        find_out: Callable[[Sequence[str]], Sequence[CheckResult]],
        *,
        fresh_since: float | None = None,
    ) -> dict[str, CheckResult]:
        """See to it that all ``keys`` have answers: those that are not kept are found out together.

        Nobody asks the same question twice at once, in this process or another.

        Args:
            keys: the questions' hashes.
            find_out: answers those it is given, in order.
            fresh_since: an answer kept before this moment (seconds since the epoch) does not count.
        """
        with ExitStack() as held:
            for key in sorted(set(keys)):  # in one order everywhere, so that two askers cannot wait for each other
                with self._guard:
                    lock = self._asking[key]
                held.enter_context(lock)
                file = self._file(key)
                file.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(file.with_suffix(".lock")))
            found = {key: answer for key in keys if (answer := self._still_good(key, fresh_since)) is not None}
            missing = [key for key in dict.fromkeys(keys) if key not in found]
            for answer in find_out(missing) if missing else ():
                found[answer.key] = answer
                with self._guard:
                    self._new.add(answer.key)
                if answer.final:
                    write_atomically(self._file(answer.key), answer.model_dump_json(), durable=True)
                else:
                    self._passing[answer.key] = answer
        return found

    def ask(
        self, key: str, find_out: Callable[[], CheckResult], *, fresh_since: float | None = None
    ) -> tuple[CheckResult, bool]:
        """The answer to one question, and whether it was known before.

        It counts as known from the second time on that this book gives it, or from the first if an earlier run left
        it.
        """
        answer = self.prepare([key], lambda _: [find_out()], fresh_since=fresh_since)[key]
        with self._guard:
            known = key not in self._new
            self._new.discard(key)
        return answer, known

    def take_over(self, answer: CheckResult, *, fresh_since: float | None = None) -> None:
        """Keep an answer that another machine found, unless there is one already that still counts."""
        if answer.final and self._still_good(answer.key, fresh_since) is None:
            write_atomically(self._file(answer.key), answer.model_dump_json(), durable=True)

    def _still_good(self, key: str, fresh_since: float | None) -> CheckResult | None:
        passing = self._passing.get(key)
        if passing is not None:
            return passing
        file = self._file(key)
        if fresh_since is not None and not (file.exists() and file.stat().st_mtime >= fresh_since):
            return None
        return self.recall(key)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
